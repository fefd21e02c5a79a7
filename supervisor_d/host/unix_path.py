"""A Unix socket's place in the file system: taken only from the dead, given up only while still ours. Host side.

A socket file outlives its server, so bind(2) says EADDRINUSE for the living and the dead alike; connect(2) tells them
apart. Between that test and the bind another daemon could do the same, and the later one would unlink the earlier
one's socket: so both happen under the directory's lock. Rejected: binding a temporary name and renaming it, which
leaves getsockname(2), and so `ss -x`, with a name that does not exist.
"""

from __future__ import annotations

import errno
import os
import socket
import stat
from contextlib import ExitStack, suppress
from pathlib import Path

from server_core.records import dataclass
from supervisor_d.host.directory_lock import locked


@dataclass(frozen=True, slots=True)
class Place:
    """A socket file that we made: its path, and the inode by which it is known again."""

    path: str
    device: int
    inode: int

    def give_up(self) -> None:
        """Unlink the file if it is still the one we made."""
        try:
            found = os.lstat(self.path)
            if (found.st_dev, found.st_ino) == (self.device, self.inode):
                os.unlink(self.path)
        except OSError:  # ENOENT, EACCES, EROFS: it is gone, or not ours to remove any more
            return


def bind(listener: socket.socket, path: str, mode: int, backlog: int) -> Place:
    """Bind at `path` with exactly this file mode, and listen: one that does not listen yet looks dead to others.

    A dead socket is replaced.

    Raises OSError: EADDRINUSE if something living is there, EEXIST if what is there is no socket.
    """
    with ExitStack() as held:
        with suppress(PermissionError):  # write and search permission suffice to bind; then go without the lock
            held.enter_context(locked(Path(path).parent))
        if _is_taken(path):
            raise OSError(errno.EADDRINUSE, os.strerror(errno.EADDRINUSE), path)
        before = os.umask(0o777 & ~mode)  # there is one thread, and no moment at which the file is open to others
        try:
            listener.bind(path)
        finally:
            os.umask(before)
        made = os.lstat(path)
        place = Place(path, made.st_dev, made.st_ino)
        try:
            listener.listen(backlog)
        except OSError:
            place.give_up()
            raise
    return place


def _is_taken(path: str) -> bool:
    """True if a living server owns the socket file; a dead one's file is removed on the way."""
    try:
        found = os.lstat(path)
    except FileNotFoundError:
        return False
    if not stat.S_ISSOCK(found.st_mode):
        raise OSError(errno.EEXIST, "a file that is not a socket is there", path)
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
        client.setblocking(False)  # a full accept queue is EAGAIN then, and means: alive
        if client.connect_ex(path) != errno.ECONNREFUSED:
            return True
    os.unlink(path)
    return False
