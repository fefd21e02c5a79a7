"""The lock that daemons take while they look at, make or remove a socket in a directory. Host side.

flock(2) on a file of our own in it: mode 0600, our uid in its name, never reached through a link. Only root and
we can open it, so that no other user of the machine can hold it and keep us from starting. It is removed by who held
it last; one that a killed daemon left is taken over.

Rejected: flock on the directory itself, which every user who may read it can hold for ever; a lock whose wait is
given up without one, since a living daemon's socket could be removed then.
"""

from __future__ import annotations

import errno
import fcntl
import os
import select
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from supervisor_d.control.peer import Peer, user_called

TRIES: Final = 40
INTERVAL_S: Final = 0.05
"""Two seconds in all: a longer wait has another reason than a daemon that starts. Chosen."""

LOCKS: Final = Path("/proc/locks")


@contextmanager
def locked(directory: int) -> Iterator[None]:
    """Hold the lock of the directory that this descriptor is of.

    OSError: EACCES, EPERM, EROFS if no file can be made in it; ETIMEDOUT, naming the holder; EEXIST if what has the
    lock's name is not ours.
    """
    name = f".supervisor-d.{os.geteuid()}.lock"
    fd = _take(directory, name)
    try:
        yield
    finally:
        with suppress(OSError):  # EROFS, ENOENT: it is gone, or stays; the next one takes it over
            os.unlink(name, dir_fd=directory)  # while it is held: the next one notices, and makes another (_is_named)
        os.close(fd)


def _take(directory: int, name: str) -> int:
    """A descriptor that holds the lock, of the file that has the name now."""
    holder = None
    for _ in range(TRIES):
        fd = _open(directory, name)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = holder_of(os.fstat(fd))
            os.close(fd)
            select.select((), (), (), INTERVAL_S)
            continue
        if _is_named(fd, directory, name):
            return fd
        os.close(fd)  # its holder removed it meanwhile
    who = str(holder) if holder is not None else "another process"
    raise OSError(errno.ETIMEDOUT, f"{where(directory, name)} has been locked by {who} for too long")


def _open(directory: int, name: str) -> int:
    """The file, made if need be. What is not ours is removed, where that can be: it has our name and no use here."""
    try:
        return _open_ours(directory, name)
    except _NotOurs as found:
        try:
            os.unlink(name, dir_fd=directory)
        except OSError:  # EPERM: another user's in a sticky directory; EISDIR
            raise OSError(
                errno.EEXIST,
                f"{where(directory, name)} is our lock's name, and {user_called(found.uid)} has taken it; remove it, "
                "or use a directory that no other user can write",
            ) from None
    return _open_ours(directory, name)


class _NotOurs(OSError):
    """What has our lock's name is no plain file, or is another user's."""

    def __init__(self, uid: int) -> None:
        super().__init__(errno.EEXIST, f"the lock's name was taken by {user_called(uid)}")
        self.uid = uid


def _open_ours(directory: int, name: str) -> int:
    flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    try:
        fd = os.open(name, flags, 0o600, dir_fd=directory)
    except OSError as error:
        with suppress(FileNotFoundError):
            _refuse_foreign(os.lstat(name, dir_fd=directory))
        raise error from None
    try:
        _refuse_foreign(os.fstat(fd))
    except _NotOurs:
        os.close(fd)
        raise
    return fd


def _refuse_foreign(there: os.stat_result) -> None:
    """Others may open what is not a file of ours alone: a link (a hard one, too) to another, or with another mode."""
    is_alone = stat.S_ISREG(there.st_mode) and there.st_nlink <= 1 and not there.st_mode & 0o077
    if there.st_uid != os.geteuid() or not is_alone:
        raise _NotOurs(there.st_uid)


def _is_named(fd: int, directory: int, name: str) -> bool:
    ours = os.fstat(fd)
    try:
        there = os.lstat(name, dir_fd=directory)
    except FileNotFoundError:
        return False
    return (ours.st_dev, ours.st_ino) == (there.st_dev, there.st_ino)


def where(directory: int, name: str) -> str:
    """The path, for messages."""
    try:
        return str(Path(os.readlink(f"/proc/self/fd/{directory}"), name))
    except OSError:  # no /proc
        return name


def holder_of(file: os.stat_result) -> Peer | None:
    """Who holds a lock on the file (proc_locks(5)); None where the system does not say."""
    inode = f"{os.major(file.st_dev):02x}:{os.minor(file.st_dev):02x}:{file.st_ino}"
    try:
        lines = LOCKS.read_text("ascii").splitlines()
    except (OSError, ValueError):  # not Linux, or /proc is not mounted
        return None
    for line in lines:
        fields = line.split()
        if len(fields) > 5 and fields[1] == "FLOCK" and fields[5] == inode:
            pid = int(fields[4])
            try:
                return Peer(pid, os.stat(f"/proc/{pid}").st_uid)
            except OSError:  # it ended, or is in a pid namespace that we cannot see into (then its pid is 0)
                return Peer(pid if pid > 0 else None, None)
    return None
