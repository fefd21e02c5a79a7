"""Whether a thread waits in a debugger: the hang watch must not replace a worker that an operator looks at there."""

from __future__ import annotations

import sys
from typing import Final

DEBUGGERS: Final = frozenset(("bdb", "pdb", "pydevd", "_pydevd_bundle", "debugpy"))
"""Whose code is on the stack of a thread that is stopped: Python's own debugger with what is made of it (ipdb, pudb),
and the one of VS Code and PyCharm. sys.gettrace() tells of the calling thread alone, and coverage sets it, too."""


def is_debugged(thread: int) -> bool:
    """Whether this thread, by its identifier, waits in a debugger now."""
    frame = sys._current_frames().get(thread)
    while frame is not None:
        if str(frame.f_globals.get("__name__")).partition(".")[0] in DEBUGGERS:
            return True
        frame = frame.f_back
    return False
