"""The log as the daemon speaks it: written, remembered for `ctl events`, counted for the metrics. Host side."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Final

from supervisor_d import clock
from supervisor_d.log import ALL_EVENTS, Log

EVENTS_KEPT: Final = 1000
"""Chosen: some hours of a quiet daemon, and under a megabyte unless tracebacks fill it."""

Listener = Callable[[Mapping[str, object]], None]


class EventRing:
    """The last events, newest last; `listeners` are called with each new one."""

    def __init__(self) -> None:
        self._events: deque[Mapping[str, object]] = deque(maxlen=EVENTS_KEPT)
        self.listeners: list[Listener] = []

    def append(self, event: Mapping[str, object]) -> None:
        self._events.append(event)
        for listener in tuple(self.listeners):  # a listener may leave while it is called
            listener(event)

    def __iter__(self) -> Iterator[Mapping[str, object]]:
        return iter(tuple(self._events))

    def __len__(self) -> int:
        return len(self._events)


class Journal:
    """A Log that also feeds a ring and counts; both see every event, whatever level is written.

    An event in the ring has the keys of a JSON line of the log: timestamp, level, event, and its facts.
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
