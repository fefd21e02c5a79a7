"""The master's loop: wait -> fact -> decide -> perform -> show, and nothing else.

The one place where a decision becomes an act: policy never sees the host, the host never sees the policy. Reload and
shutdown are states of the policy, so there is no second loop to be deaf in; an order that fails comes back as a fact,
and what fails otherwise is kept from the loop by one barrier.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Protocol

from supervisor_d import clock
from supervisor_d.faults import Barrier
from supervisor_d.vocabulary import Fact, Instant, Order
from supervisor_d.vocabulary.status import Status


class Policy(Protocol):
    """What should happen next (policy/supervisor.py)."""

    @property
    def exit_code(self) -> int | None: ...
    @property
    def next_deadline(self) -> Instant | None: ...
    def receive(self, fact: Fact, now: Instant) -> list[Order]: ...
    def status(self, now: Instant) -> Status: ...


class Waits(Protocol):
    """Where facts come from (host/reactor.py)."""

    def wait(self, until: Instant | None) -> list[Fact]: ...


class Performs(Protocol):
    """Where orders go (host/order_executor.py); never raises for a failed order."""

    def perform(self, order: Order) -> None: ...
    def fail(self, fact: Fact) -> None:
        """Answer who waits for what comes of this fact: it could not be decided."""


class Master:
    """Turns facts into orders until policy names an exit code; `show` is given the status after every turn."""

    def __init__(
        self,
        policy: Policy,
        reactor: Waits,
        executor: Performs,
        barrier: Barrier,
        now: Callable[[], Instant] = clock.now,
        show: Callable[[Status], None] | None = None,
    ) -> None:
        self._policy = policy
        self._reactor = reactor
        self._performer = executor
        self._barrier = barrier
        self._now = now
        self._show = show

    def run(self) -> int:
        """The exit code, once policy has one; facts that came together with the last one are not decided any more."""
        while self._policy.exit_code is None:
            for fact in self._reactor.wait(self._policy.next_deadline):
                self._take(fact)
            if self._show is not None:
                self._barrier.run("showing the status", self._tell)
        return self._policy.exit_code

    def _take(self, fact: Fact) -> None:
        """Decide and perform. Each order stands for itself: one that fails does not keep the next from being tried."""
        orders = self._barrier.run(
            f"deciding on {type(fact).__name__}", partial(self._policy.receive, fact, self._now())
        )
        if orders is None:
            self._performer.fail(fact)
            return
        for order in orders:
            self._barrier.run(f"performing {type(order).__name__}", partial(self._performer.perform, order))

    def _tell(self) -> None:
        assert self._show is not None
        self._show(self._policy.status(self._now()))
