"""The master takes over the orphans among its descendants. Host side.

Workers that a template forks become its children by that (server_core/template), and so does what a worker leaves
behind (host/orphans).
"""

from __future__ import annotations

import ctypes
import os
import sys
from typing import Final

PR_SET_CHILD_SUBREAPER: Final = 36
"""linux/prctl.h: orphans among our descendants become our children (prctl(2), since Linux 3.4)."""


def become_subreaper() -> str | None:
    """Have orphans among our descendants become our children; what is in the way, or None. Idempotent."""
    if sys.platform != "linux":
        return "only Linux lets a process take over what another one forks (PR_SET_CHILD_SUBREAPER)"
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0):
        return f"prctl(PR_SET_CHILD_SUBREAPER): {os.strerror(ctypes.get_errno())}"
    return None
