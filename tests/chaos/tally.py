"""What the load client counts: right answers, losses with their circumstances, latencies; values and sums only.

A request is lost if it did not get its whole, right answer: the client retries nothing and forgives nothing. One thing
is counted apart, because no server could have saved it: a request on a connection that a process owned at the moment
when we killed that process (`doom`), or when the supervisor killed it for having hung. Another is not counted as a
request at all, because it is sent again and must then be answered: a WebSocket message that crossed a close frame on
the wire (`crossing`, until `settle` has seen what the application was given).
"""

from __future__ import annotations

import heapq
import time
from array import array
from collections import Counter
from collections.abc import Callable, Collection, Iterable
from dataclasses import asdict, dataclass


@dataclass(frozen=True, slots=True)
class Loss:
    """One request without its answer. `phase` is connect, send, head or body: how far it had come.

    `port` is the client's, so that a packet trace can be matched; `pid` is the process that answered before on this
    connection, if one did; `idle_s` is how long the connection had been silent when the request was written;
    `message` is a WebSocket message's text.
    """

    kind: str
    what: str
    phase: str
    why: str
    at_s: float
    after_s: float
    during: str
    port: int
    pid: int | None
    requests_before: int
    idle_s: float
    received: str
    message: str = ""

    def as_fields(self) -> dict[str, object]:
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Spread:
    """A set of latencies in seconds, by the figures that people compare."""

    count: int
    p50: float
    p99: float
    p999: float
    maximum: float

    @staticmethod
    def of(latencies: Iterable[float]) -> Spread:
        ordered = sorted(latencies)
        if not ordered:
            return Spread(0, 0.0, 0.0, 0.0, 0.0)

        def quantile(share: float) -> float:
            return ordered[min(len(ordered) - 1, int(share * len(ordered)))]

        return Spread(len(ordered), quantile(0.5), quantile(0.99), quantile(0.999), ordered[-1])


@dataclass(frozen=True, slots=True, order=True)
class Slow:
    """One of the slowest right answers, for whoever looks for the reason."""

    latency_s: float
    at_s: float
    kind: str
    during: str


SLOWEST = 20
"""How many of the slowest answers are told one by one."""

QUIET = "quiet"


class Tally:
    """The sums of one run. `during` names what is being done to the server right now; QUIET is nothing.

    Once the server was told to stop (`stopping`), or was killed and not started again yet (`absent`), a connection
    that is refused is what it should be, and counted as `refused`; one that was let in and got no answer is lost.
    """

    def __init__(self) -> None:
        self.began_at = time.monotonic()
        self.during = QUIET
        self.right: Counter[str] = Counter()
        self.lost: list[Loss] = []
        self.unsavable: list[Loss] = []
        self.opened = 0
        self.announced_closes = 0
        self.idle_closes = 0
        self.stopping = self.absent = False
        self.refused = 0
        self.crossing: list[Loss] = []
        self.crossed: list[Loss] = []
        self.own_stall_s = 0.0
        self.pids: set[int] = set()
        self.slowest: list[Slow] = []
        self._doomed: set[int] = set()
        self._awaited: list[tuple[int, Callable[[], None]]] = []
        self._latencies: dict[bool, array[float]] = {True: array("d"), False: array("d")}

    def settle(self, had: Collection[str]) -> None:
        """Now it is known which messages the application was given: one that it did not answer has crossed nothing."""
        self.lost += [loss for loss in self.crossing if loss.message in had]
        self.crossed += [loss for loss in self.crossing if loss.message not in had]
        self.crossing = []

    @property
    def requests(self) -> int:
        """Requests that have ended, one way or another."""
        return self.right.total() + len(self.lost) + len(self.unsavable)

    def when(self, count: int, call: Callable[[], None]) -> None:
        """Call once, as soon as so many requests have ended; at once if they have."""
        self._awaited.append((count, call))
        self._ended()

    def _ended(self) -> None:
        if self._awaited:
            ended = self.requests
            due = [call for count, call in self._awaited if count <= ended]
            self._awaited = [(count, call) for count, call in self._awaited if count > ended]
            for call in due:
                call()

    def elapsed_s(self) -> float:
        return time.monotonic() - self.began_at

    def answered(self, kind: str, latency_s: float | None) -> None:
        """A right answer; without a latency if the time was the application's own."""
        self.right[kind] += 1
        if latency_s is not None:
            self._latencies[self.during == QUIET].append(latency_s)
            if len(self.slowest) < SLOWEST or latency_s > self.slowest[0].latency_s:
                heapq.heappush(self.slowest, Slow(latency_s, round(self.elapsed_s(), 3), kind, self.during))
                if len(self.slowest) > SLOWEST:
                    heapq.heappop(self.slowest)
        self._ended()

    def lose(self, loss: Loss) -> bool:
        """Books a loss; True if there will be no server any more, so that asking again is pointless."""
        if (self.stopping or self.absent) and loss.phase == "connect" and loss.why == "ECONNREFUSED":
            self.refused += 1
            return self.stopping
        (self.unsavable if loss.port in self._doomed else self.lost).append(loss)
        self._ended()
        return False

    def connected(self, port: int) -> None:
        """A connection from this port is new: whatever befell an older one from the same port is past."""
        self.opened += 1
        self._doomed.discard(port)

    def doom(self, ports: Iterable[int], *, since_s: float) -> None:
        """The process that owns these connections is killed: what is, or since then was, in flight is counted apart."""
        self._doomed.update(ports)
        excused = [loss for loss in self.lost if loss.at_s >= since_s and loss.port in self._doomed]
        self.unsavable += excused
        self.lost = [loss for loss in self.lost if loss not in excused]

    def spread(self, *, quiet: bool) -> Spread:
        return Spread.of(self._latencies[quiet])

    def losses_by(self, *names: str) -> Counter[tuple[str, ...]]:
        """How many were lost, grouped by these fields of Loss."""
        return Counter(tuple(str(getattr(loss, name)) for name in names) for loss in self.lost)
