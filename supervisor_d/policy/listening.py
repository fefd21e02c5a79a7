"""Which listeners no client reaches: while there are such, the daemon is not ready."""

from __future__ import annotations

from supervisor_d.policy.state import PolicyState
from supervisor_d.vocabulary import ListenerLost, ListenerRestored


class Listening:
    """The addresses that are lost."""

    def __init__(self) -> None:
        self._lost: set[str] = set()

    @property
    def lost(self) -> tuple[str, ...]:
        return tuple(sorted(self._lost))

    def take_in(self, policy: PolicyState, fact: ListenerLost | ListenerRestored) -> None:
        """Report what happened to a listener, and remember it."""
        if isinstance(fact, ListenerLost):
            policy.outbox.report("socket.lost", address=fact.address, reason=fact.reason)
            self._lost.add(fact.address)
        else:
            policy.outbox.report("socket.restored", address=fact.address)
            self._lost.discard(fact.address)
