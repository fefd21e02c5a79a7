"""Restart intensity and back-off: arithmetic on instants; pure functions, no state.

A worker that dies is replaced at once; if it dies again before it has been ready for a while, the next one waits,
longer each time. When a whole generation dies faster than the intensity allows, no worker is replaced at once any more.
The rule is OTP's (supervisor: more than MaxR restarts within MaxT seconds), the consequence is not: OTP gives up,
here the healthy workers go on and the others are only slowed down.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from typing import Final

from supervisor_d.vocabulary import Instant, Slot

BACKOFF_FIRST_S: Final = 0.1  # contrib/docs/DESIGN.md, section 2
BACKOFF_MAX_S: Final = 30.0  # the same
JITTER: Final = 0.2  # each way; chosen, no evidence: enough to part workers that died together
STEADY_S: Final = 30.0  # ready for this long ends a row of failures; chosen: the longest back-off
INTENSITY_PERIOD_S: Final = 10.0  # chosen, no evidence; OTP's own default is 1 restart in 5 s
INTENSITY_MIN: Final = 5  # deaths in a period that are always tolerated; chosen
STORM_DELAY_S: Final = 1.0  # the shortest back-off while the intensity is exceeded; chosen


def share(seed: int, slot: Slot, nth: int) -> float:
    """A number from 0 to 1 that looks random and is not: the same for the same arguments."""
    return zlib.crc32(f"{seed}:{slot}:{nth}".encode()) / 2**32


def remember(deaths: Sequence[Instant], now: Instant) -> list[Instant]:
    """The deaths that still count, this one included: those not older than a period."""
    return [now, *(death for death in deaths if now - death <= INTENSITY_PERIOD_S)]


def is_storm(deaths: Sequence[Instant], target: int) -> bool:
    """True if more workers died within a period than two rounds of the whole fleet."""
    return len(deaths) > max(INTENSITY_MIN, 2 * target)


def delay_s(failures: int, *, booted: bool, storm: bool, seed: int, slot: Slot) -> float:
    """Seconds to wait after the given number of failures in a row (at least 1).

    The first death of a worker that was ready costs no wait; a boot that failed always does: the next one will
    hardly fare better at once.
    """
    doublings = failures - 2 if booted else failures - 1
    if doublings < 0:
        return STORM_DELAY_S if storm else 0.0
    plain = BACKOFF_FIRST_S * 2.0 ** min(doublings, 16)
    jittered = plain * (1 - JITTER + 2 * JITTER * share(seed, slot, failures))
    return min(max(jittered, STORM_DELAY_S if storm else 0.0), BACKOFF_MAX_S)
