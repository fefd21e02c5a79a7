"""What a process holds: memory, descriptors, threads, from proc(5); and what became of it over a long run."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from typing import Final

import psutil

QUIET_TIMEOUT_S: Final = 60.0
"""Paid only where descriptors stay open: longer than any deadline of a connection that has nothing to do."""
MASTER_MIB: Final = 8.0
"""What a master's rings of events and incidents may come to (1,000 events, 50 incidents with their stacks); chosen."""
TEMPLATE_DESCRIPTORS: Final = 2
"""A master's pipe and pidfd of the template, which ends after the start and is back for good with the first crash."""
WORKER_MIB: Final = 16.0
"""What a worker's allocator may keep after ten minutes of aborted uploads and downloads; chosen."""


@dataclass(frozen=True, slots=True)
class Holding:
    """What one process held at one moment."""

    rss_mib: float
    descriptors: int
    threads: int

    def __str__(self) -> str:
        return f"{self.rss_mib:.1f} MiB, {self.descriptors} descriptors, {self.threads} threads"


def holding(pid: int) -> Holding:
    """Raises psutil.NoSuchProcess."""
    process = psutil.Process(pid)
    with process.oneshot():
        return Holding(process.memory_info().rss / 2**20, process.num_fds(), process.num_threads())


async def at_rest(pid: int, at_most: Holding | None = None) -> Holding:
    """What it holds once no more than before, or what it still holds at the deadline."""
    give_up_at = time.monotonic() + QUIET_TIMEOUT_S
    while True:
        held = holding(pid)
        if at_most is None or held.descriptors <= at_most.descriptors or time.monotonic() > give_up_at:
            return held
        await asyncio.sleep(0.5)  # a number that nothing tells of


def grown(before: Holding, after: Holding, limit_mib: float, descriptors: int) -> bool:
    return (
        after.descriptors > before.descriptors + descriptors
        or after.threads > before.threads
        or after.rss_mib > before.rss_mib + limit_mib
    )
