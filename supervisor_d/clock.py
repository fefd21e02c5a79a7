"""The only module that reads the clock; all others get the time as an argument."""

from __future__ import annotations

import time

from supervisor_d.vocabulary import Instant


def now() -> Instant:
    """The monotonic instant in seconds; it stands still while the machine is suspended (CLOCK_MONOTONIC)."""
    return Instant(time.monotonic())


def suspended_s() -> float:
    """Seconds this machine has been suspended since boot: CLOCK_BOOTTIME counts them, CLOCK_MONOTONIC does not."""
    if not hasattr(time, "CLOCK_BOOTTIME"):
        return 0.0  # not Linux: the monotonic clock there has no twin to compare with
    return time.clock_gettime(time.CLOCK_BOOTTIME) - time.clock_gettime(time.CLOCK_MONOTONIC)


def wall() -> float:
    """Seconds since the epoch, for what people read; never for a deadline."""
    return time.time()
