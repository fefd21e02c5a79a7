"""A Unix socket's place in the file system: taken only from the dead, given up only while still ours. Host side.

A socket file outlives its server, so bind(2) says EADDRINUSE for the living and the dead alike; connect(2) tells them
apart. Between that test and the bind another daemon could do the same, and the later one would unlink the earlier
one's socket: so both happen under a lock (directory_lock). Rejected: binding a temporary name and renaming it, which
leaves getsockname(2), and so `ss -x`, with a name that does not exist.

The file has its mode from the moment that it has its name (umask(2)): a chmod(2) afterwards would follow a link that
another process put there in between. Everything but bind(2) itself goes through the open directory, so that nothing is
removed elsewhere if the path leads elsewhere by then; and what was bound is looked for in that directory.
"""

from __future__ import annotations

import errno
import os
import socket
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from server_core.records import dataclass
from supervisor_d.control.peer import Peer, peer_of, user_called
from supervisor_d.host.unix_sockets import exposure
from supervisor_d.host.unix_sockets.directory_lock import locked
from supervisor_d.host.unix_sockets.socket_holder import holder_of_name

IN_USE_BY = "in use by "
"""What EADDRINUSE says here, before who it is."""

WAY_MAX = 64
"""Directories and symlinks that lead to a socket; chosen: Linux follows 40 symlinks (path_resolution(7))."""


def way_to(path: str) -> tuple[str, ...]:
    """The directories and symlinks by which a path is found, but for the root; what is missing ends the way."""
    found: dict[str, None] = {}
    waiting = [os.path.dirname(path)]
    while waiting and len(found) < WAY_MAX:
        place = waiting.pop()
        if place in ("", "/", *found):
            continue
        found[place] = None
        waiting.append(os.path.dirname(place))
        try:
            waiting.append(os.path.join(os.path.dirname(place), os.readlink(place)))
        except OSError:  # EINVAL: no symlink. ENOENT: it is gone
            continue
    return tuple(found)


@dataclass(frozen=True, slots=True)
class Place:
    """A socket file that we made: its path, and the inode by which it is known again."""

    path: str
    device: int
    inode: int
    doubts: tuple[str, ...] = ()
    """What other users of the machine may do to it."""

    def what_is_wrong(self) -> str | None:
        """Why clients do not find the socket at its path; None if they do."""
        try:
            found = os.lstat(self.path)
        except OSError as error:
            return f"its file is gone: {error.strerror}"
        if (found.st_dev, found.st_ino) == (self.device, self.inode):
            return None
        return f"another file is in its place, of {user_called(found.st_uid)}"

    def give_up(self) -> None:
        """Unlink the file if it is still the one we made."""
        path = Path(self.path)
        try:
            directory = os.open(path.parent, exposure.OPENED_AS)
        except OSError:  # ENOENT, EACCES: it is gone, or not ours to remove any more
            return
        try:
            found = os.lstat(path.name, dir_fd=directory)
            if (found.st_dev, found.st_ino) == (self.device, self.inode):
                os.unlink(path.name, dir_fd=directory)
        except OSError:  # ENOENT, EACCES, EROFS: as above
            return
        finally:
            os.close(directory)


def bind(
    listener: socket.socket, path: str, mode: int, backlog: int, *, group: int | None = None, is_guarded: bool = False
) -> Place:
    """Bind at `path` with exactly this file mode, and listen: one that does not listen yet looks dead to others.

    The file has the `group` that is given (root can do that). By our effective group at the moment of bind(2), since a
    chown(2) afterwards would change whatever has the name by then.

    A dead socket is replaced. One that is guarded is not made in a directory in which every user may replace it.

    Raises OSError: EADDRINUSE if something living is there, naming it, EEXIST if what is there is no socket or is
    another user's, EPERM if the directory is not fit for it.
    """
    with exposure.opened(Path(path).parent) as directory:
        if is_guarded and directory.open_to_all:
            reason = f"every user may write {directory.open_to_all}, and replace the socket; chmod o-w it"
            raise OSError(errno.EPERM, reason, path)
        with as_group(group):
            return _bind_in(directory, listener, path, mode, backlog)


@contextmanager
def as_group(group: int | None) -> Iterator[None]:
    """Files that are made meanwhile have this group; None: our own."""
    before = os.getegid()
    if group is None or group == before:
        yield
        return
    os.setegid(group)
    try:
        yield
    finally:
        os.setegid(before)


def _bind_in(directory: exposure.Directory, listener: socket.socket, path: str, mode: int, backlog: int) -> Place:
    name = Path(path).name
    with locked(directory.fd):
        owner = owner_of(path, directory.fd)
        if owner is not None:
            raise OSError(errno.EADDRINUSE, f"{IN_USE_BY}{owner}", path)
        before = os.umask(0o777 & ~mode)  # there is one thread, and no moment at which the file is open to others
        try:
            listener.bind(path)
        finally:
            os.umask(before)
        made = os.lstat(name, dir_fd=directory.fd)
        if not stat.S_ISSOCK(made.st_mode) or made.st_uid != os.geteuid():
            raise OSError(errno.EPERM, "another user exchanged the directory while the socket was made", path)
        place = Place(path, made.st_dev, made.st_ino, directory.doubts)
        try:
            listener.listen(backlog)
        except OSError:
            place.give_up()
            raise
    return place


def owner_of(path: str, directory: int) -> Peer | None:
    """The process that listens at the path, or None; a dead socket's file is removed on the way."""
    name = Path(path).name
    try:
        found = os.lstat(name, dir_fd=directory)
    except FileNotFoundError:
        return None
    if not stat.S_ISSOCK(found.st_mode):
        raise OSError(errno.EEXIST, "a file that is not a socket is there", path)
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
        client.setblocking(False)  # a full accept queue is EAGAIN then, and means: alive
        result = client.connect_ex(path)
        if result == 0:
            return peer_of(client)
        if result == errno.EACCES:
            raise OSError(errno.EEXIST, f"a socket of {user_called(found.st_uid)} is there, closed to us", path)
        if result != errno.ECONNREFUSED:
            return holder_of_name(path)
    try:
        os.unlink(name, dir_fd=directory)
    except PermissionError:  # a sticky directory
        raise OSError(
            errno.EEXIST, f"a dead socket of {user_called(found.st_uid)} is there, and may not be removed by us", path
        ) from None
    return None
