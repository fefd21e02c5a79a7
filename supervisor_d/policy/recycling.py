"""Replacing single workers that serve: by request count, age, memory, or because an operator asked.

Replacement first, one at a time: while the replacement comes, one worker more than the target is wanted; when enough
others are ready the old one drains, and the next one's turn comes. So there is never more than one replacement in the
making, and never one worker fewer than the target. Drains may overlap: waiting for the old process to be gone was
rejected, because a drain lasts as long as its slowest client (seconds for idle connections, up to graceful-timeout for
a stream), and no other worker would be recycled meanwhile. What limits them is memory: no turn begins while as many
workers leave as a reload parks, and its surge (`has_room`).

A replacement that cannot boot costs nothing: the old worker serves on, and it is tried again with back-off, except for
an operator's request, which ends with the traceback. During a reload nothing is recycled: it replaces all workers
anyway.
"""

from __future__ import annotations

from dataclasses import field

from server_core.records import dataclass
from supervisor_d.policy import worker_actions
from supervisor_d.policy.lifecycle import LEAVING
from supervisor_d.policy.slot import Handle
from supervisor_d.policy.state import Failure, PolicyState
from supervisor_d.vocabulary import Slot, Ticket
from supervisor_d.vocabulary.status import SlotState


@dataclass(slots=True)
class Recycle:
    """One worker to be replaced. `lasting` if it was not only asked for by tickets: then it is tried until it works."""

    slot: Slot
    birth: int
    reason: str
    lasting: bool
    tickets: list[Ticket] = field(default_factory=list)

    def concerns(self, handle: Handle) -> bool:
        return handle.birth == self.birth and handle.state is not SlotState.EMPTY


def has_room(policy: PolicyState) -> bool:
    """True if one more worker may begin to leave: at most target and surge do so at once, for whatever reason.

    With the target, and the one replacement, that is as many processes as a reload has at its peak; no more memory is
    needed for the one than for the other.
    """
    leaving = sum(handle.state in LEAVING for handle in policy.fleet)
    return leaving < policy.target + policy.terms.surge


class Recycling:
    """Who waits to be replaced, and who is being replaced."""

    def __init__(self) -> None:
        self.queue: list[Recycle] = []
        self.active: Recycle | None = None

    def ask(
        self, policy: PolicyState, handle: Handle, reason: str, *, ticket: Ticket | None = None, urgent: bool = False
    ) -> None:
        """Have a worker replaced when its turn comes; asking again only changes who gets the answer."""
        known = [
            entry
            for entry in (self.active, *self.queue)
            if entry is not None and entry.concerns(handle) and entry.slot == handle.slot
        ]
        if known:
            entry = known[0]
        else:
            entry = Recycle(handle.slot, handle.birth, reason, lasting=False)
            self.queue.insert(0 if urgent else len(self.queue), entry)
            policy.outbox.report_worker("worker.recycled", handle, reason=reason)
            policy.moves += 1
        if ticket is None:
            entry.lasting = True
        else:
            entry.tickets.append(ticket)

    def replaced(self, policy: PolicyState) -> Handle | None:
        """The worker whose replacement has to come first, so that one above the target is wanted now; None if none."""
        entry = self.active
        if entry is None:
            return None
        handle = policy.fleet.handle(entry.slot)
        return handle if entry.concerns(handle) and handle.ready else None

    def step(self, policy: PolicyState) -> None:
        """Let the replaced worker go when it can be spared, and begin with the next if there is room for it."""
        if self.active is not None:
            self._proceed(policy, self.active)
        while self.active is None and self.queue and has_room(policy):
            entry = self.queue.pop(0)
            handle = policy.fleet.handle(entry.slot)
            if not entry.concerns(handle):
                self._answer(policy, entry)
            elif handle.ready or handle.state in LEAVING:
                self.active = entry
                policy.moves += 1
            else:
                self.queue.insert(0, entry)
                return

    def _proceed(self, policy: PolicyState, entry: Recycle) -> None:
        handle = policy.fleet.handle(entry.slot)
        if entry.concerns(handle) and handle.ready and policy.fleet.ready() > policy.target:
            worker_actions.drain(policy, handle, entry.reason, timeout_s=policy.terms.graceful_timeout)
        if not entry.concerns(handle) or handle.state in LEAVING:
            self._answer(policy, entry)
            self.active = None
            policy.moves += 1

    def _answer(self, policy: PolicyState, entry: Recycle) -> None:
        for ticket in entry.tickets:
            policy.outbox.answer(ticket, 200, outcome="replaced", slot=entry.slot, reason=entry.reason)
        entry.tickets.clear()

    def failed(self, policy: PolicyState, failure: Failure) -> None:
        """A worker failed: if it was the replacement, the waiting client gets the reason."""
        entry = self.active
        if (
            entry is None
            or not entry.tickets
            or policy.fleet.ready() < policy.target
            or failure.handle.ready_at is not None
        ):
            return
        for ticket in entry.tickets:
            policy.outbox.answer(
                ticket, 500, outcome="failed", slot=entry.slot, reason=failure.reason, traceback=failure.traceback
            )
        entry.tickets.clear()
        if not entry.lasting:
            self.active = None
            policy.moves += 1

    def suspend(self) -> None:
        """A reload begins: a worker that was about to be replaced waits in the queue again."""
        if self.active is not None:
            self.queue.insert(0, self.active)
            self.active = None

    def cancel(self, policy: PolicyState, reason: str) -> None:
        """No worker is replaced any more."""
        for entry in ([self.active] if self.active else []) + self.queue:
            for ticket in entry.tickets:
                policy.outbox.refuse(ticket, 409, reason)
        self.queue.clear()
        self.active = None
