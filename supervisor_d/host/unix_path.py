"""A Unix socket's place in the file system: taken only from the dead, given up only while still ours. Host side.

A socket file outlives its server, so bind(2) says EADDRINUSE for the living and the dead alike; connect(2) tells them
apart. Between that test and the bind another daemon could do the same, and the later one would unlink the earlier
one's socket: so both happen under a lock on the directory. Rejected: binding a temporary name and renaming it, which
leaves getsockname(2), and so `ss -x`, with a name that does not exist; and a lock file, which would be litter.
"""

from __future__ import annotations

import errno
import fcntl
import os
import socket
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass


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


def bind(listener: socket.socket, path: str, mode: int) -> Place:
    """Bind at `path` with exactly this file mode; a dead socket is replaced.

    Raises OSError: EADDRINUSE if something living is there, EEXIST if what is there is no socket.
    """
    with _directory_locked(os.path.dirname(path) or "."):
        if _is_taken(path):
            raise OSError(errno.EADDRINUSE, os.strerror(errno.EADDRINUSE), path)
        before = os.umask(0o777 & ~mode)  # there is one thread, and no moment at which the file is open to others
        try:
            listener.bind(path)
        finally:
            os.umask(before)
        made = os.lstat(path)
    return Place(path, made.st_dev, made.st_ino)


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


@contextmanager
def _directory_locked(directory: str) -> Iterator[None]:
    """Other daemons that look at sockets in this directory wait meanwhile; they hold it for microseconds."""
    try:
        held = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except PermissionError:  # write and search permission suffice to bind there; then go without the lock
        yield
        return
    try:
        fcntl.flock(held, fcntl.LOCK_EX)
        yield
    finally:
        os.close(held)
