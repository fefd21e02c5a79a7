"""Descriptors 0, 1 and 2 open, as every program expects them. Host side.

A daemon started with `<&- >&- 2>&-` would see its first listener become standard output, and log lines go to a
client. The gaps are filled before anything else is opened, and left open for the workers, too.
"""

from __future__ import annotations

import os


def fill_gaps() -> None:
    """Open /dev/null wherever one of the standard streams is closed."""
    for stream in (0, 1, 2):
        try:
            os.fstat(stream)
        except OSError:  # EBADF: it is closed
            take(stream)


def take(stream: int) -> None:
    """Put /dev/null in the place of a standard stream, whatever is there now."""
    null = os.open(os.devnull, os.O_RDWR)
    if null != stream:
        os.dup2(null, stream, inheritable=True)
        os.close(null)
    else:
        os.set_inheritable(stream, True)


def has_terminal() -> bool:
    """Whether standard input is a terminal in whose foreground this process group is (tcgetpgrp(3))."""
    try:
        return os.isatty(0) and os.tcgetpgrp(0) == os.getpgrp()
    except OSError:  # closed, or the terminal of another session
        return False
