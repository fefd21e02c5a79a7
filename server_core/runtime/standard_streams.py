"""Keeps clients off the numbers of the standard streams.

An application may close these (a library for daemons, os.closerange()), and accept(2) gives the lowest number that is
free: a client would be standard error, and be sent the log, with what other clients have asked for.

Rejected: to write the log to a duplicate of standard error. What Python itself, its warnings, and C libraries print
goes to number 2, and so would the stacks of a crash.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
from typing import Final

LAST: Final = 2
"""Standard error, stdin(3)."""


def moved(fd: int) -> int:
    """A descriptor that has one of these numbers, under another one; the null device takes all that are free.

    OSError (EMFILE) where there is none for it; then it is closed.
    """
    try:
        return fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, LAST + 1)
    finally:
        os.close(fd)
        while (null := os.open(os.devnull, os.O_RDWR)) <= LAST:
            os.set_inheritable(null, True)
        os.close(null)


def take_terminal() -> None:
    """Have standard input be the terminal of this session: for a debugger, and for input() in the application."""
    with contextlib.suppress(OSError):  # it is gone: standard input stays the null device
        terminal = os.open("/dev/tty", os.O_RDWR | os.O_CLOEXEC)
        os.dup2(terminal, 0, inheritable=True)
        os.close(terminal)
