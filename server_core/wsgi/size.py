"""How many threads `--threads auto` is: by the CPUs that this process may use, capped by its cgroup's quota."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

AUTO: Final = 0
MORE_THAN_CPUS: Final = 4
MOST: Final = 32
"""Precedent for both: concurrent.futures.ThreadPoolExecutor (CPython 3.8)."""


def threads_of(setting: int, root: Path = Path("/")) -> int:
    """The number that `threads` comes to, at least 1."""
    return setting if setting != AUTO else min(MOST, _cpus(root) + MORE_THAN_CPUS)


def _cpus(root: Path) -> int:
    """CPUs by affinity and by the quota of our own cgroup, as a container sees it (cgroup-v2, cpu.max)."""
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    try:
        quota, period = (root / "sys/fs/cgroup/cpu.max").read_text().split()
        return max(1, min(allowed, int(quota) // int(period)))
    except (OSError, ValueError):  # no cgroup v2, or "max": there is no quota
        return allowed
