"""The log as the daemon speaks it: written, remembered for `ctl events`, counted for the metrics. Host side."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Final

from supervisor_d import clock
from supervisor_d.host.journal.shared_texts import SharedTexts
from supervisor_d.log import ALL_EVENTS, Log

EVENTS_KEPT: Final = 1000
"""Chosen: some hours of a quiet daemon, and under a megabyte without tracebacks."""
TEXTS_BYTES_MAX: Final = 8 * 1024 * 1024
"""Long texts (tracebacks, stacks) of all events together, equal ones counted once. Chosen: 64 of the longest that one
message of a worker can carry (contract.MESSAGE_LIMIT), and no burden for a small container."""

Listener = Callable[[Mapping[str, object]], None]


class EventRing:
    """The last events, newest last, each with its number `seq`, from 1; `listeners` are called with each new one.

    A full ring forgets the oldest event of the name that it holds most of. So a name that is logged often pushes out
    its own past, and not the one line that says why. Rejected: a ring for each name, which would need a size for each.
    """

    def __init__(self) -> None:
        self._events: dict[int, Mapping[str, object]] = {}
        self._by_name: dict[str, dict[int, None]] = {}  # dicts as sets that know their order
        self._texts = SharedTexts()
        self._last = 0
        self.listeners: list[Listener] = []

    def append(self, event: Mapping[str, object]) -> None:
        self._last += 1
        kept = {"seq": self._last, **self._texts.share(self._last, event)}
        self._events[self._last] = kept
        self._by_name.setdefault(str(event.get("event")), {})[self._last] = None
        if len(self._events) > EVENTS_KEPT:
            most = max(self._by_name.values(), key=len)
            self._forget(next(iter(most)))
        while self._texts.bytes > TEXTS_BYTES_MAX:
            self._forget(self._texts.oldest_holder)
        for listener in tuple(self.listeners):  # a listener may leave while it is called
            listener(kept)

    def _forget(self, number: int) -> None:
        name = str(self._events.pop(number).get("event"))
        numbers = self._by_name[name]
        del numbers[number]
        if not numbers:
            del self._by_name[name]
        self._texts.release(number)

    def __iter__(self) -> Iterator[Mapping[str, object]]:
        return iter(tuple(self._events.values()))

    def __len__(self) -> int:
        return len(self._events)


class Journal:
    """A Log that also feeds a ring and counts; both see every event, whatever level is written.

    An event in the ring has the keys of a JSON line of the log: timestamp, level, event, and its facts; and its `seq`.
    """

    def __init__(self, log: Log) -> None:
        self._log = log
        self.ring = EventRing()
        self.counts: Counter[str] = Counter()

    def __call__(self, event: str, /, **fields: object) -> None:
        self.counts[event] += 1
        self._log(event, **fields)
        self.ring.append({"timestamp": timestamp(), "level": ALL_EVENTS[event].level, "event": event, **fields})


def timestamp() -> str:
    """The wall clock's time as ISO 8601 in UTC, to the millisecond."""
    return datetime.fromtimestamp(clock.wall(), UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
