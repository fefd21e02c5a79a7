"""Waits for facts from a real reactor: one generous deadline, paid only on failure, which shows all that was told."""

from __future__ import annotations

from typing import Final, TypeVar

from supervisor_d import clock
from supervisor_d.host.reactor import Reactor
from supervisor_d.vocabulary import DeadlineReached, Fact, Instant
from tests.helpers.deadline import GENEROUS_S

DEADLINE_S: Final = GENEROUS_S

F = TypeVar("F")


class Told:
    """Everything a reactor has told, in order."""

    def __init__(self, reactor: Reactor) -> None:
        self._reactor = reactor
        self.facts: list[Fact] = []
        self._seen: dict[type, int] = {}

    def expect(self, kind: type[F]) -> F:
        """The next fact of this kind after the last one of it that was expected.

        Facts of other kinds are left for later, whatever their place: which of two processes is told of first is up
        to the machine. A test of an order compares `kinds()`.
        """
        give_up_at = Instant(clock.now() + DEADLINE_S)
        while True:
            for index in range(self._seen.get(kind, 0), len(self.facts)):
                self._seen[kind] = index + 1
                fact = self.facts[index]
                if isinstance(fact, kind):
                    return fact
            told = self._reactor.wait(give_up_at)
            self.facts += [fact for fact in told if not isinstance(fact, DeadlineReached)]
            assert not any(isinstance(fact, DeadlineReached) for fact in told), (
                f"no {kind.__name__} in {DEADLINE_S} s; told: {self.facts}"
            )

    def kinds(self) -> list[str]:
        return [type(fact).__name__ for fact in self.facts]
