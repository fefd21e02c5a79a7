"""The one place that waits: facts, or DeadlineReached when policy's deadline comes. Host side: effects, no judgement.

One epoll_wait (or kqueue) a turn and no other system call, so an idle master sleeps until there is something to do.
A part with a descriptor registers a handler; one with a deadline of its own (the door's five seconds, say) puts
it on the heap. Handlers and actions run inside wait(), must not block, and tell facts. One that raises is not the
loop's end: the barrier takes that.
"""

from __future__ import annotations

import heapq
import selectors
from collections.abc import Callable
from functools import partial

from server_core.records import dataclass
from supervisor_d import clock
from supervisor_d.faults import Barrier, NoBarrier
from supervisor_d.vocabulary import DeadlineReached, Fact, Instant

READ = selectors.EVENT_READ
WRITE = selectors.EVENT_WRITE

Handler = Callable[[int], None]
"""Called with the events that are there: READ, WRITE or both. A hang-up shows as whichever was asked for."""


@dataclass(slots=True, eq=False)
class Source:
    """One watched descriptor: its handler, and how it is cut off if that fails."""

    handler: Handler
    failed: Callable[[Exception], None] | None


@dataclass(slots=True, eq=False)
class Deadline:
    """One action to come; the number keeps deadlines of the same instant in their order."""

    instant: Instant
    number: int
    action: Callable[[], None] | None

    def __lt__(self, other: Deadline) -> bool:  # all that a heap asks for
        return (self.instant, self.number) < (other.instant, other.number)

    def cancel(self) -> None:
        """Never run the action; nothing if it has run already."""
        self.action = None


class Reactor:
    """Descriptors and deadlines in, facts out. Single-threaded, like all of the master."""

    def __init__(self, barrier: Barrier | None = None) -> None:
        self._barrier = barrier or NoBarrier()
        self._selector = selectors.DefaultSelector()
        self._deadlines: list[Deadline] = []
        self._deadlines_made = 0
        self._facts: list[Fact] = []

    def watch(
        self, source: int, events: int, handler: Handler, failed: Callable[[Exception], None] | None = None
    ) -> None:
        """Call `handler` whenever `source` has these events; a second call replaces the first.

        `failed` is called if the handler raises: it has to see to it that the descriptor does not make it fail again.
        """
        if source in self._selector.get_map():
            self._selector.modify(source, events, Source(handler, failed))
        else:
            self._selector.register(source, events, Source(handler, failed))

    def forget(self, source: int) -> None:
        """Stop watching, before the descriptor is closed; nothing if it is not watched."""
        if source in self._selector.get_map():
            self._selector.unregister(source)

    def at(self, instant: Instant, action: Callable[[], None]) -> Deadline:
        """Run `action` once when the instant has come, unless its deadline is cancelled before."""
        self._deadlines_made += 1
        deadline = Deadline(instant, self._deadlines_made, action)
        heapq.heappush(self._deadlines, deadline)
        return deadline

    def tell(self, fact: Fact) -> None:
        """Queue a fact; the wait under way, or the next one, returns it."""
        self._facts.append(fact)

    def wait(self, until: Instant | None) -> list[Fact]:
        """At least one fact. DeadlineReached comes last, so that news is heard before time is up.

        Facts already queued do not excuse a turn from looking at the descriptors: a failing order that leads to the
        next failing order must not shut out signals.
        """
        while True:
            self._turn(until)
            if until is not None and clock.now() >= until:
                self._facts.append(DeadlineReached())
            if self._facts:
                facts, self._facts = self._facts, []
                return facts

    def attend_while(self, condition: Callable[[], bool]) -> None:
        """Attend to descriptors and deadlines as long as it holds; facts that come meanwhile reach no policy."""
        while condition():
            self._facts.clear()
            self._turn(None)

    def close(self) -> None:
        self._selector.close()

    def _turn(self, until: Instant | None) -> None:
        for key, events in self._selector.select(self._timeout(until)):
            current = self._selector.get_map().get(key.fd)
            # An earlier handler of this turn may have closed this descriptor, and its number may be another's by now.
            if current is not None and current.data is key.data:
                source = key.data
                self._barrier.run(_name(source.handler), partial(source.handler, events), source.failed)
        self._run_due()

    def _timeout(self, until: Instant | None) -> float | None:
        """Seconds to wait at most; None is for ever. EpollSelector rounds up to milliseconds: never early, no spin."""
        if self._facts:
            return 0.0
        while self._deadlines and self._deadlines[0].action is None:
            heapq.heappop(self._deadlines)
        instants = [deadline.instant for deadline in self._deadlines[:1]]
        if until is not None:
            instants.append(until)
        return max(0.0, min(instants) - clock.now()) if instants else None

    def _run_due(self) -> None:
        """Actions whose instant has come; those that they schedule wait for the next turn."""
        if not self._deadlines:
            return
        due_until, numbers_until = clock.now(), self._deadlines_made
        while self._deadlines and self._deadlines[0].instant <= due_until:
            if self._deadlines[0].number > numbers_until:
                break
            deadline = heapq.heappop(self._deadlines)
            action, deadline.action = deadline.action, None
            if action is not None:
                self._barrier.run(_name(action), action)


def _name(work: Callable[..., None]) -> str:
    """Where the work is, for people."""
    inner = work.func if isinstance(work, partial) else work
    return f"{inner.__module__}.{inner.__qualname__}".removeprefix("supervisor_d.")
