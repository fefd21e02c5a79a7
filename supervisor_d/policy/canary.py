"""Whether a new generation answers so much worse than the old one that its reload must be taken back.

The old generation is judged by what it answered since the reload began if that is enough to judge by, and by its whole
life, whichever is worse: trouble that hits both (a database that is down) must not be blamed on the new code.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import field
from typing import Final

from server_core.records import dataclass
from supervisor_d.vocabulary import Observation, Slot

ENOUGH_REQUESTS: Final = 20
"""Requests of a generation before its share of errors says anything; chosen, no evidence."""
SHARE_FLOOR: Final = 0.1
"""A share of 5xx that is never held against a new generation; chosen, no evidence."""


def limit(old_share: float) -> float:
    """The share of 5xx above which a new generation is taken back.

    Five times the old share and a bit; but where the old share is high already, halfway from it to "all" at most:
    five times 0.2 would excuse everything. Chosen, no evidence.
    """
    return max(SHARE_FLOOR, min(5 * old_share + 0.05, (1 + old_share) / 2))


@dataclass(slots=True)
class Tally:
    """The answers of one generation: by process, the first look of this reload and the last."""

    first: dict[tuple[Slot, int], tuple[int, int]] = field(default_factory=dict)
    last: dict[tuple[Slot, int], tuple[int, int]] = field(default_factory=dict)

    def note(self, slot: Slot, birth: int, seen: Observation) -> None:
        counts = (seen.requests_total, seen.responses_5xx)
        self.first.setdefault((slot, birth), counts)
        self.last[slot, birth] = counts

    def life(self) -> tuple[int, int]:
        """Requests and 5xx since these processes were born."""
        return _sum(self.last.values())

    def window(self) -> tuple[int, int]:
        """Requests and 5xx since the first look."""
        (requests, errors), (requests_then, errors_then) = self.life(), _sum(self.first.values())
        return requests - requests_then, errors - errors_then


def _sum(counts: Iterable[tuple[int, int]]) -> tuple[int, int]:
    rows = list(counts)
    return sum(requests for requests, _ in rows), sum(errors for _, errors in rows)


def _share(requests: int, errors: int) -> float:
    return errors / requests if requests >= ENOUGH_REQUESTS else 0.0


def fault(old: Tally, new: Tally) -> str | None:
    """What is wrong with the new generation's answers, in words; None if nothing is, or it is too early to say."""
    requests, errors = new.life()
    new_share = _share(requests, errors)
    old_share = max(_share(*old.life()), _share(*old.window()))
    if new_share <= limit(old_share):
        return None
    return (
        f"the new generation answered {errors} of {requests} requests with 5xx ({new_share:.0%}); "
        f"the old one {old_share:.0%}"
    )
