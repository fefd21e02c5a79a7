"""Events of which a thousand can come at once, summed up: a Log in front of the Journal. Host side.

The first few of a period are logged each by itself, as a few are what there nearly always is. The others are counted
and told as one line at the end of the period. Rejected: to drop them, for how many there were is what an operator wants
to know; to sum up all events, for most carry a fact that no sum can hold.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Final

from supervisor_d import clock
from supervisor_d.host.reactor import Reactor
from supervisor_d.log import Log
from supervisor_d.vocabulary import Instant

SINGLE_MAX: Final = 10
PERIOD_S: Final = 1.0
"""So many of one event are logged one by one in so many seconds. Chosen: more than a worker with a pool leaves behind
on a small machine, and a screenful for all four events."""
KINDS_MAX: Final = 5
"""Kinds that a sum tells apart, the most frequent ones; the rest is one more. Chosen: a line stays a line."""

CONDENSED: Final[Mapping[str, tuple[str, ...]]] = {
    "process.reaped": ("exit_code", "signal"),
    "process.terminated": ("name", "slot"),
    "process.killed": ("name",),
    "process.spared": ("name", "reason"),
}
"""The events that are summed up, each with the keys that tell its kinds apart."""


class CondensedLog:
    """Passes on all events, and of those in CONDENSED only so many in a period; `flush` tells the sums at once."""

    def __init__(self, log: Log, reactor: Reactor) -> None:
        self._log = log
        self._reactor = reactor
        self._seen: Counter[str] = Counter()
        self._kinds: dict[str, Counter[str]] = {}

    def __call__(self, event: str, /, **fields: object) -> None:
        if event not in CONDENSED:
            self._log(event, **fields)
            return
        if not self._seen:
            self._reactor.at(Instant(clock.now() + PERIOD_S), self.flush)
        self._seen[event] += 1
        if self._seen[event] <= SINGLE_MAX:
            self._log(event, **fields)
        else:
            told = ((key, fields.get(key)) for key in CONDENSED[event])
            kind = " ".join(f"{key}={value}" for key, value in told if value is not None)
            self._kinds.setdefault(event, Counter())[kind] += 1

    def flush(self) -> None:
        """Tell what was counted; the next period begins with the next event."""
        self._seen.clear()
        summed, self._kinds = self._kinds, {}
        for event, kinds in summed.items():
            told = dict(kinds.most_common(KINDS_MAX))
            if rest := kinds.total() - sum(told.values()):
                told["others"] = rest
            self._log("process.summed", of=event, count=kinds.total(), kinds=told)
