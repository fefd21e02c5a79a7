"""What operators ask for: scale, reload, restart, dump, reopen, stop; and which of it is under way.

Each request is refused, answered, or becomes something that is under way and answers later. Requests that cannot be
met now but soon will be are kept: a reload during a reload, a restart during a reload.
"""

from __future__ import annotations

from dataclasses import field

from server_core.exit_codes import EXIT_INTERNAL, EXIT_OK
from server_core.records import dataclass
from supervisor_d.policy import worker_actions
from supervisor_d.policy.lifecycle import LEAVING
from supervisor_d.policy.recycling import Recycling
from supervisor_d.policy.rollout import Rollout
from supervisor_d.policy.scaling import new_target, refusal
from supervisor_d.policy.shutdown import Shutdown
from supervisor_d.policy.slot import Handle
from supervisor_d.policy.state import PolicyState
from supervisor_d.vocabulary import (
    DumpRequested,
    Generation,
    Instant,
    Origin,
    RecordIncident,
    ReloadRequested,
    ReopenLogs,
    ReopenRequested,
    Report,
    RequestStacks,
    RestartRequested,
    ScaleRequested,
    Slot,
    StopRequested,
    Ticket,
)
from supervisor_d.vocabulary.status import LastReload, SlotState

STOPPING = "the daemon is stopping"


@dataclass(slots=True)
class Waiting:
    """The reload that follows: all clients that asked for it, in the name of the first."""

    origin: Origin
    tickets: list[Ticket] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Dump:
    """Stacks that were asked for and are about to be written."""

    at: Instant
    slot: Slot
    birth: int
    ticket: Ticket | None


class OperatorRequests:
    """What was asked for and is under way, or waits for its turn."""

    def __init__(self, policy: PolicyState, recycling: Recycling) -> None:
        self._state = policy
        self._recycling = recycling
        self._waiting: dict[bool, Waiting] = {}  # by dry_run
        self._dumps: list[Dump] = []
        self._generations = int(policy.generation)
        self.started = False
        self.rollout: Rollout | None = None
        self.shutdown: Shutdown | None = None
        self.last_reload: LastReload | None = None

    def start(self) -> None:
        """The listeners are open: workers may be spawned."""
        self.started = True

    def admits(self, ticket: Ticket | None, *, while_stopping: bool) -> bool:
        """Open the ticket of a request; False if the request is refused, and so answered, because the daemon stops."""
        if ticket is not None:
            self._state.outbox.open.add(ticket)
        if self.shutdown is not None and not while_stopping:
            self._state.outbox.refuse(ticket, 409, STOPPING)
            return False
        return True

    def forget(self, ticket: Ticket) -> None:
        """The client that waited has left."""
        self._state.outbox.open.discard(ticket)

    def reopen(self, request: ReopenRequested) -> None:
        slots = tuple(handle.slot for handle in self._state.fleet if handle.alive)
        self._state.outbox.add(ReopenLogs(slots))
        self._state.outbox.report("log.reopened", origin=str(request.origin))

    def recycle(self, handle: Handle, reason: str, *, urgent: bool = False) -> None:
        """Have a worker replaced, unless it is leaving anyway or all workers are."""
        if self.shutdown is None and handle.alive and handle.state not in LEAVING:
            self._recycling.ask(self._state, handle, reason, urgent=urgent)

    def stop(self, *, fast: bool, exit_code: int = EXIT_OK, last_words: Report | None = None) -> None:
        """Begin to stop; whatever is under way ends here."""
        policy = self._state
        if self.rollout is not None:
            self.rollout.cancel(policy, "the daemon was stopped")
            self.end_reload()
        for waiting in self._waiting.values():
            for ticket in waiting.tickets:
                policy.outbox.refuse(ticket, 409, STOPPING)
        self._waiting.clear()
        self._recycling.cancel(policy, STOPPING)
        delay_s = policy.terms.shutdown_delay if exit_code == EXIT_OK else 0.0
        self.shutdown = Shutdown(policy, fast=fast, delay_s=delay_s, exit_code=exit_code, last_words=last_words)
        policy.moves += 1

    def give_up(self, reason: str) -> None:
        """The master cannot be relied on any more: stop, and exit with 1."""
        self._state.outbox.report("master.failing", reason=reason)
        if self.shutdown is None:
            self.stop(fast=False, exit_code=EXIT_INTERNAL)

    def refuse_open(self, reason: str) -> None:
        """Nothing is left that could answer the tickets that are still open."""
        for ticket in sorted(self._state.outbox.open):
            self._state.outbox.refuse(ticket, 409, reason)

    def begin_reload(self) -> None:
        """Begin the reload that waits, if one does and a worker was ready once: before that there is no going back."""
        if self.rollout is not None or self.shutdown is not None or not self._waiting or not self._state.ever_ready:
            return
        dry_run = min(self._waiting)  # the real one first
        waiting = self._waiting.pop(dry_run)
        self._generations += 1
        self._recycling.suspend()
        self.rollout = Rollout(self._state, Generation(self._generations), waiting.origin, waiting.tickets, dry_run)

    def end_reload(self) -> None:
        """Put the outcome of a decided reload into force."""
        if self.rollout is not None and self.rollout.outcome is not None:
            self.last_reload = self.rollout.conclude(self._state) or self.last_reload
            self.rollout = None

    @property
    def next_dump(self) -> Instant | None:
        return min((dump.at for dump in self._dumps), default=None)

    def fire_dumps(self) -> None:
        """Record the stacks that are written by now."""
        policy = self._state
        due = [dump for dump in self._dumps if dump.at <= policy.now]
        self._dumps = [dump for dump in self._dumps if dump.at > policy.now]
        for dump in due:
            handle = policy.fleet.handle(dump.slot)
            if handle.alive and handle.birth == dump.birth:
                policy.outbox.add(RecordIncident(dump.slot, "dump", 0.0, policy.outbox.close(dump.ticket)))
            else:
                policy.outbox.refuse(dump.ticket, 409, f"the worker in slot {dump.slot} is gone")

    def stop_as_asked(self, request: StopRequested) -> None:
        self._state.outbox.answer(request.ticket, 202, stopping=True)
        if self.shutdown is not None and (self.shutdown.fast or not request.fast):
            return
        policy = self._state
        delay_s = 0.0 if request.fast else policy.terms.shutdown_delay
        policy.outbox.report("stop.requested", fast=request.fast, origin=str(request.origin), shutdown_delay_s=delay_s)
        if self.shutdown is None:
            self.stop(fast=request.fast)
        else:
            self.shutdown.hasten(policy)
            policy.moves += 1

    def scale(self, request: ScaleRequested) -> None:
        policy, old = self._state, self._state.target
        new = new_target(old, request.change, relative=request.relative)
        refused = refusal(old, new, policy.terms.max_workers, force=request.force)
        if refused is not None:
            policy.outbox.report(
                "fleet.scale_refused", wanted=new, target=old, reason=refused, origin=str(request.origin)
            )
            policy.outbox.refuse(request.ticket, 409, refused)
            return
        policy.sizing.is_overruled = True
        if new != old:
            policy.target = new
            policy.moves += 1
            policy.outbox.report("fleet.scaled", old=old, new=new, origin=str(request.origin))
        policy.outbox.answer(request.ticket, 200, target=new, old=old)

    def reload(self, request: ReloadRequested) -> None:
        waiting = self._waiting.setdefault(request.dry_run, Waiting(request.origin))
        if request.ticket is not None:
            waiting.tickets.append(request.ticket)
        if self.rollout is not None:
            self._state.outbox.report(
                "reload.coalesced", generation=self.rollout.generation, origin=str(request.origin)
            )

    def restart(self, request: RestartRequested) -> None:
        policy = self._state
        handle = policy.fleet.slots.get(request.slot)
        if handle is None or handle.state is SlotState.EMPTY:
            policy.outbox.refuse(request.ticket, 404, f"there is no worker in slot {request.slot}")
        elif handle.state is SlotState.BACKOFF:
            worker_actions.spawn(policy, handle, handle.generation)
            policy.outbox.answer(request.ticket, 202, slot=handle.slot, state=handle.state.value)
        elif handle.coming or handle.state in LEAVING:
            policy.outbox.refuse(request.ticket, 409, f"slot {handle.slot} is {handle.state.value}")
        else:
            self._recycling.ask(policy, handle, f"asked for: {request.origin}", ticket=request.ticket)

    def dump(self, request: DumpRequested) -> None:
        policy = self._state
        handle = policy.fleet.slots.get(request.slot)
        if handle is None or not handle.alive:
            policy.outbox.refuse(request.ticket, 404, f"there is no worker in slot {request.slot}")
        elif handle.state is SlotState.SPAWNING:
            policy.outbox.refuse(request.ticket, 409, f"slot {handle.slot} is {handle.state.value}")
        else:
            policy.outbox.add(RequestStacks(handle.slot))
            at = Instant(policy.now + worker_actions.STACKS_S)
            self._dumps.append(Dump(at, handle.slot, handle.birth, request.ticket))
