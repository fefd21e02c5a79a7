"""The lock that daemons take while they look at, make or remove a socket in a directory. Host side.

flock(2) on the directory itself: no litter, and the kernel gives it back when we die. Rejected: a lock file, which
needs to be cleaned up itself. It is held for a few system calls, and only before the loop begins or after it has ended.
"""

from __future__ import annotations

import errno
import fcntl
import os
import select
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

TRIES: Final = 40
INTERVAL_S: Final = 0.05
"""Two seconds in all: a longer wait has another reason than a daemon that starts. Chosen."""


@contextmanager
def locked(directory: Path) -> Iterator[None]:
    """Hold the directory's lock. OSError: it cannot be opened (EACCES: to bind there takes less), or ETIMEDOUT."""
    fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        _take(fd, directory)
        yield
    finally:
        os.close(fd)


def _take(fd: int, directory: Path) -> None:
    for _ in range(TRIES):
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            select.select((), (), (), INTERVAL_S)
        else:
            return
    raise OSError(errno.ETIMEDOUT, f"{directory} has been locked by another process for too long")
