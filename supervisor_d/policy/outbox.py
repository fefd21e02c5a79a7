"""What the policy has to say, in order: orders, reports, and the answers to open tickets.

Every ticket is answered exactly once: it is opened when its request arrives, and whatever is said to a ticket that is
not open (answered already, or its requester hung up) is not said.
"""

from __future__ import annotations

from supervisor_d.policy.slot import Handle
from supervisor_d.vocabulary import Answer, Order, Report, TellProgress, Ticket, error_body


class Outbox:
    """Orders in the making. `take` empties it."""

    def __init__(self) -> None:
        self._orders: list[Order] = []
        self.open: set[Ticket] = set()

    def take(self) -> list[Order]:
        orders, self._orders = self._orders, []
        return orders

    def add(self, order: Order) -> None:
        self._orders.append(order)

    def report(self, event: str, **fields: object) -> None:
        self.add(Report(event, fields))

    def report_worker(self, event: str, handle: Handle, **fields: object) -> None:
        """Report an event about one worker: its slot, pid and generation come first."""
        self.add(worker_report(event, handle, **fields))

    def answer(self, ticket: Ticket | None, status: int, **body: object) -> None:
        if ticket in self.open:
            self.open.discard(ticket)
            self.add(Answer(ticket, status, body))

    def refuse(self, ticket: Ticket | None, status: int, reason: str) -> None:
        """Answer that it is not done, and why."""
        self.answer(ticket, status, **error_body(reason))

    def close(self, ticket: Ticket | None) -> Ticket | None:
        """The ticket if it is open, for an order that answers it."""
        if ticket not in self.open:
            return None
        self.open.discard(ticket)
        return ticket

    def tell(self, ticket: Ticket, **body: object) -> None:
        if ticket in self.open:
            self.add(TellProgress(ticket, body))


def worker_report(event: str, handle: Handle, **fields: object) -> Report:
    """The report itself, for a caller that has to hold it back."""
    return Report(event, {"slot": handle.slot, "pid": handle.pid, "generation": handle.generation, **fields})
