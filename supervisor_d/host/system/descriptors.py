"""How many descriptors the master may spend on clients of its doors, so that its own work has some left. Host side.

A worker's birth takes six for a moment (a pipe's two ends, its record, a pidfd, and subprocess's own pipe), a look into
/proc one. The kernel gives the lowest free number, so that the number of a new descriptor says how many are in use;
nothing has to be counted.
"""

from __future__ import annotations

import resource
from typing import Final

RESERVE_MAX: Final = 64
"""Kept for the master's own work where there are many. Chosen: several births at once."""

RESERVE_SHARE: Final = 4
"""Where there are few, one in so many is kept. Chosen: 16 of the smallest limit that is usual, 64."""


def is_scarce(fd: int) -> bool:
    """Whether this new descriptor is one of those that are kept for the master's own work (RLIMIT_NOFILE)."""
    limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if limit == resource.RLIM_INFINITY:
        return False
    return fd >= limit - min(RESERVE_MAX, limit // RESERVE_SHARE)
