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
from supervisor_d.policy.state import Desk
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
    """The reload that follows: everybody who asked for it, in the name of the first."""

    origin: Origin
    tickets: list[Ticket] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Dump:
    """Stacks that were asked for and are about to be written."""

    at: Instant
    slot: Slot
    birth: int
    ticket: Ticket | None


class Requests:
    """What was asked for and is under way, or waits for its turn."""

    def __init__(self, desk: Desk, recycling: Recycling) -> None:
        self._desk = desk
        self._recycling = recycling
        self._waiting: dict[bool, Waiting] = {}  # by dry_run
        self._dumps: list[Dump] = []
        self._generations = int(desk.generation)
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
            self._desk.outbox.open.add(ticket)
        if self.shutdown is not None and not while_stopping:
            self._desk.outbox.refuse(ticket, 409, STOPPING)
            return False
        return True

    def forget(self, ticket: Ticket) -> None:
        """The client that waited has left."""
        self._desk.outbox.open.discard(ticket)

    def reopen(self, request: ReopenRequested) -> None:
        slots = tuple(handle.slot for handle in self._desk.fleet if handle.alive)
        self._desk.outbox.add(ReopenLogs(slots))
        self._desk.outbox.report("log.reopened", origin=str(request.origin))

    def recycle(self, handle: Handle, reason: str, *, urgent: bool = False) -> None:
        """Have a worker replaced, unless it is leaving anyway or everybody is."""
        if self.shutdown is None and handle.alive and handle.state not in LEAVING:
            self._recycling.ask(self._desk, handle, reason, urgent=urgent)

    def stop(self, *, fast: bool, exit_code: int = EXIT_OK, last_words: Report | None = None) -> None:
        """Begin to stop; whatever is under way ends here."""
        desk = self._desk
        if self.rollout is not None:
            self.rollout.cancel(desk, "the daemon was stopped")
            self.end_reload()
        for waiting in self._waiting.values():
            for ticket in waiting.tickets:
                desk.outbox.refuse(ticket, 409, STOPPING)
        self._waiting.clear()
        self._recycling.cancel(desk, STOPPING)
        delay_s = desk.terms.shutdown_delay if exit_code == EXIT_OK else 0.0
        self.shutdown = Shutdown(desk, fast=fast, delay_s=delay_s, exit_code=exit_code, last_words=last_words)
        desk.moves += 1

    def give_up(self, reason: str) -> None:
        """The master cannot be relied on any more: stop, and exit with 1."""
        self._desk.outbox.report("master.failing", reason=reason)
        if self.shutdown is None:
            self.stop(fast=False, exit_code=EXIT_INTERNAL)

    def refuse_open(self, reason: str) -> None:
        """Nobody is left to answer the tickets that are still open."""
        for ticket in sorted(self._desk.outbox.open):
            self._desk.outbox.refuse(ticket, 409, reason)

    def begin_reload(self) -> None:
        """Begin the reload that waits, if one does and a worker was ready once: before that there is no going back."""
        if self.rollout is not None or self.shutdown is not None or not self._waiting or not self._desk.ever_ready:
            return
        dry_run = min(self._waiting)  # the real one first
        waiting = self._waiting.pop(dry_run)
        self._generations += 1
        self._recycling.suspend()
        self.rollout = Rollout(self._desk, Generation(self._generations), waiting.origin, waiting.tickets, dry_run)

    def end_reload(self) -> None:
        """Put the outcome of a decided reload into force."""
        if self.rollout is not None and self.rollout.outcome is not None:
            self.last_reload = self.rollout.conclude(self._desk) or self.last_reload
            self.rollout = None

    @property
    def next_dump(self) -> Instant | None:
        return min((dump.at for dump in self._dumps), default=None)

    def fire_dumps(self) -> None:
        """Record the stacks that are written by now."""
        desk = self._desk
        due = [dump for dump in self._dumps if dump.at <= desk.now]
        self._dumps = [dump for dump in self._dumps if dump.at > desk.now]
        for dump in due:
            handle = desk.fleet.handle(dump.slot)
            if handle.alive and handle.birth == dump.birth:
                desk.outbox.add(RecordIncident(dump.slot, "dump", 0.0, desk.outbox.close(dump.ticket)))
            else:
                desk.outbox.refuse(dump.ticket, 409, f"the worker in slot {dump.slot} is gone")

    def stop_as_asked(self, request: StopRequested) -> None:
        self._desk.outbox.answer(request.ticket, 202, stopping=True)
        if self.shutdown is not None and (self.shutdown.fast or not request.fast):
            return
        desk = self._desk
        delay_s = 0.0 if request.fast else desk.terms.shutdown_delay
        desk.outbox.report("stop.requested", fast=request.fast, origin=str(request.origin), shutdown_delay_s=delay_s)
        if self.shutdown is None:
            self.stop(fast=request.fast)
        else:
            self.shutdown.hasten(desk)
            desk.moves += 1

    def scale(self, request: ScaleRequested) -> None:
        desk, old = self._desk, self._desk.target
        new = new_target(old, request.change, relative=request.relative)
        refused = refusal(old, new, desk.terms.max_workers, force=request.force)
        if refused is not None:
            desk.outbox.report(
                "fleet.scale_refused", wanted=new, target=old, reason=refused, origin=str(request.origin)
            )
            desk.outbox.refuse(request.ticket, 409, refused)
            return
        desk.sizing.is_overruled = True
        if new != old:
            desk.target = new
            desk.moves += 1
            desk.outbox.report("fleet.scaled", old=old, new=new, origin=str(request.origin))
        desk.outbox.answer(request.ticket, 200, target=new, old=old)

    def reload(self, request: ReloadRequested) -> None:
        waiting = self._waiting.setdefault(request.dry_run, Waiting(request.origin))
        if request.ticket is not None:
            waiting.tickets.append(request.ticket)
        if self.rollout is not None:
            self._desk.outbox.report("reload.coalesced", generation=self.rollout.generation, origin=str(request.origin))

    def restart(self, request: RestartRequested) -> None:
        desk = self._desk
        handle = desk.fleet.slots.get(request.slot)
        if handle is None or handle.state is SlotState.EMPTY:
            desk.outbox.refuse(request.ticket, 404, f"there is no worker in slot {request.slot}")
        elif handle.state is SlotState.BACKOFF:
            worker_actions.spawn(desk, handle, handle.generation)
            desk.outbox.answer(request.ticket, 202, slot=handle.slot, state=handle.state.value)
        elif handle.coming or handle.state in LEAVING:
            desk.outbox.refuse(request.ticket, 409, f"slot {handle.slot} is {handle.state.value}")
        else:
            self._recycling.ask(desk, handle, f"asked for: {request.origin}", ticket=request.ticket)

    def dump(self, request: DumpRequested) -> None:
        desk = self._desk
        handle = desk.fleet.slots.get(request.slot)
        if handle is None or not handle.alive:
            desk.outbox.refuse(request.ticket, 404, f"there is no worker in slot {request.slot}")
        elif handle.state is SlotState.SPAWNING:
            desk.outbox.refuse(request.ticket, 409, f"slot {handle.slot} is {handle.state.value}")
        else:
            desk.outbox.add(RequestStacks(handle.slot))
            at = Instant(desk.now + worker_actions.STACKS_S)
            self._dumps.append(Dump(at, handle.slot, handle.birth, request.ticket))
