"""The last events of the log, for `ctl events`, and whoever wants to hear the next ones. Host side."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Mapping
from typing import Final

EVENTS_KEPT: Final = 1000
"""Chosen: some hours of a quiet daemon, and under a megabyte unless tracebacks fill it."""

Listener = Callable[[Mapping[str, object]], None]


class EventRing:
    """Every event as written to the log, newest last; `listeners` are called with each new one."""

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
