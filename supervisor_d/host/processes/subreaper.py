"""The master takes over the orphans among its descendants. Host side.

Workers that a template forks become its children by that (server_core/worker/prefork/template), and so does what a
worker leaves behind (host/processes/orphans).
"""

from __future__ import annotations

import ctypes
import os
import sys
from typing import Final

PR_SET_CHILD_SUBREAPER: Final = 36
"""linux/prctl.h: orphans among our descendants become our children (prctl(2), since Linux 3.4)."""

PR_GET_CHILD_SUBREAPER: Final = 37


def become_subreaper() -> str | None:
    """Have orphans among our descendants become our children; what is in the way, or None. Idempotent."""
    if sys.platform != "linux":
        return "only Linux lets a process take over what another one forks (PR_SET_CHILD_SUBREAPER)"
    if _prctl(PR_SET_CHILD_SUBREAPER, 1):
        return f"prctl(PR_SET_CHILD_SUBREAPER): {os.strerror(ctypes.get_errno())}"
    return None


def is_subreaper() -> bool:
    """Whether this process is one already."""
    found = ctypes.c_int()
    return sys.platform == "linux" and not _prctl(PR_GET_CHILD_SUBREAPER, ctypes.byref(found)) and bool(found.value)


def cease_to_be_subreaper() -> None:
    """Have orphans go to the next subreaper above this process, or to PID 1."""
    if sys.platform == "linux":
        _prctl(PR_SET_CHILD_SUBREAPER, 0)


def _prctl(option: int, argument: object) -> int:
    return int(ctypes.CDLL(None, use_errno=True).prctl(option, argument, 0, 0, 0))
