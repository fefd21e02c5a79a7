"""Work of milliseconds, one piece a turn of the loop, so that no signal waits for more than one piece. Host side.

Measured: 24 spawns in a row kept the master deaf for 1.2 s (two cores, Linux 6.18, 2026-11).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from supervisor_d import clock
from supervisor_d.host.reactor import Reactor


class DeferredWork:
    """A queue that the reactor works off, in order; descriptors and other deadlines have their turns in between."""

    def __init__(self, reactor: Reactor) -> None:
        self._reactor = reactor
        self._queue: deque[Callable[[], None]] = deque()

    def add(self, chore: Callable[[], None]) -> None:
        self._queue.append(chore)
        if len(self._queue) == 1:
            self._reactor.at(clock.now(), self._do_next)

    def _do_next(self) -> None:
        try:
            self._queue[0]()
        finally:
            self._queue.popleft()
            if self._queue:
                self._reactor.at(clock.now(), self._do_next)
