"""Which directories other users of the machine may write, so that what is in them may be replaced by theirs. Host side.

A user that may write a directory may rename and remove what is in it, any owner's files included; in a sticky one only
the owner of the file may (inode(7), S_ISVTX). What leaves some others the choice is reported as a doubt: a mode for all
or for a group, another owner, or a sticky directory, where a name that we give up can be taken by any user. The control
socket is not made where all may write and nothing is sticky. A listener is: a volume that the containers of a pod share
(Kubernetes' emptyDir) has mode 0777, and there is no other way to hand a socket to the proxy in the same pod.

All that is judged is what is open: a directory that was exchanged after it was judged is not the one we work in.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from server_core.records import dataclass
from supervisor_d.control.peer import user_called
from supervisor_d.host.unix_sockets.directory_lock import where

OPENED_AS = getattr(os, "O_PATH", os.O_RDONLY) | os.O_DIRECTORY | os.O_CLOEXEC
"""With O_PATH (Linux) permission to read it is not needed, as it is not for bind(2)."""


@dataclass(frozen=True, slots=True)
class Directory:
    """An open directory, and what there is to be said against a socket in it."""

    fd: int
    doubts: tuple[str, ...]
    open_to_all: str = ""
    """The first directory, of this and those above it, in which every user may replace everything."""


@contextmanager
def opened(directory: Path) -> Iterator[Directory]:
    """The directory for as long as the block lasts. Raises OSError if it cannot be opened."""
    fd = os.open(directory, OPENED_AS)
    try:
        yield _judged(fd)
    finally:
        os.close(fd)


def _judged(fd: int) -> Directory:
    """With what is doubtful about the directory and those above it."""
    doubts, open_to_all = [], ""
    for current, is_last in _upwards(fd):
        found = os.fstat(current)
        name = where(current, "")
        if found.st_mode & stat.S_IWOTH and not found.st_mode & stat.S_ISVTX:
            open_to_all = open_to_all or name
        doubt = _doubt(name, found, is_last=is_last)
        doubts += [doubt] if doubt else []
    return Directory(fd, tuple(doubts), open_to_all)


def _upwards(fd: int) -> Iterator[tuple[int, bool]]:
    """Descriptors of the directory (which is the last one of the path: True) and of those above it, one at a time."""
    current, is_last = os.dup(fd), True
    try:
        while True:
            yield current, is_last
            before = os.fstat(current)
            try:
                above = os.open("..", OPENED_AS, dir_fd=current)
            except OSError:  # EACCES: the rest is hidden from us
                return
            os.close(current)
            current, is_last = above, False
            there = os.fstat(current)
            if (there.st_dev, there.st_ino) == (before.st_dev, before.st_ino):
                return  # the root is above itself
    finally:
        os.close(current)


def _doubt(name: str, found: os.stat_result, *, is_last: bool) -> str | None:
    is_sticky = bool(found.st_mode & stat.S_ISVTX)
    if found.st_uid not in (0, os.geteuid()):
        return f"{name} belongs to {user_called(found.st_uid)}, who may replace what is in it"
    if is_sticky and not is_last:
        return None  # what is in it is the next directory, and only its owner may rename that
    if found.st_mode & stat.S_IWOTH and is_sticky:
        return f"every user may put files into {name}, and so take the name while the daemon does not run"
    if found.st_mode & stat.S_IWOTH:
        return f"every user may write {name}, and replace what is in it"
    if found.st_mode & stat.S_IWGRP and found.st_gid not in (0, os.getegid()):
        return f"group {found.st_gid} may write {name}, and replace what is in it"
    return None
