"""Orders become calls, by table; what fails comes back as a fact or is reported. Host side, no judgement.

What takes milliseconds (a process: worker_spawner.py; a walk through its memory) is put off to later turns of the loop.

A failed order must not end the master: whatever the system can refuse (descriptors, processes, memory, a file) is an
OSError, and what we refuse ourselves is a SupervisorError. Anything else is a mistake of ours: see faults.py.
"""

from __future__ import annotations

import signal
from collections.abc import Callable, Mapping
from functools import partial
from typing import Protocol, TypeVar, cast

from server_core.contract.messages import encode
from server_core.contract.scoreboard import STACKS_SIGNAL
from server_core.records import dataclass
from server_core.tls.checks import tls_expiries
from supervisor_d import clock
from supervisor_d.host.deferred_work import DeferredWork
from supervisor_d.host.generations import Generations
from supervisor_d.host.observation.incidents import Incidents
from supervisor_d.host.observation.observer import Observer
from supervisor_d.host.observation.scoreboard import Scoreboard
from supervisor_d.host.processes.orphans import Orphans
from supervisor_d.host.processes.prefork import PreforkFactory
from supervisor_d.host.processes.process_table import ProcessTable
from supervisor_d.host.processes.spawn import hand_over
from supervisor_d.host.reactor import Reactor
from supervisor_d.host.sockets.listeners import Listeners
from supervisor_d.host.worker_spawner import REFUSALS, SpawnEquipment, WorkerSpawner
from supervisor_d.log import Log
from supervisor_d.settings.values.identity import Identity
from supervisor_d.vocabulary import (
    FAULTED,
    Answer,
    CheckMemory,
    CloseListeners,
    DiscardGeneration,
    DrainWorker,
    EndBirths,
    Fact,
    GenerationRefused,
    HurryWorker,
    KillOrphans,
    KillWorker,
    MeasureMemory,
    ObserveWorkers,
    Order,
    ParkWorker,
    PrepareGeneration,
    RecordIncident,
    ReopenLogs,
    Report,
    RequestStacks,
    ServeWorker,
    Slot,
    SpawnWorker,
    TellProgress,
    TerminateOrphans,
    TerminateWorker,
    Ticket,
    error_body,
)

T = TypeVar("T")


class Door(Protocol):
    """Where tickets are answered (host/control/server.py); a ticket whose holder hung up is passed over."""

    def answer(self, ticket: Ticket, status: int, body: Mapping[str, object]) -> None: ...
    def progress(self, ticket: Ticket, body: Mapping[str, object]) -> None: ...


@dataclass(frozen=True, slots=True)
class Equipment:
    """Everything that orders are performed with."""

    name: str
    reactor: Reactor
    log: Log
    listeners: Listeners
    scoreboard: Scoreboard
    children: ProcessTable
    prefork: PreforkFactory
    generations: Generations
    observer: Observer
    incidents: Incidents
    orphans: Orphans
    door: Door | None
    """None where the control socket is off: no client holds a ticket then."""
    identity: Identity | None = None
    """What workers are to be; None: what we are."""

    @property
    def for_spawning(self) -> SpawnEquipment:
        return SpawnEquipment(
            self.name, self.reactor, self.log, self.listeners, self.scoreboard, self.prefork, self.generations
        )


def _row(kind: type[T], call: Callable[[T], None]) -> tuple[type, Callable[[Order], None]]:
    """One row of the table: the type checker sees that the call takes what the row is for."""
    return kind, cast("Callable[[Order], None]", call)


class OrderExecutor:
    """Performs every kind of order there is; never waits, and never raises what a system can do to us."""

    def __init__(self, equipment: Equipment) -> None:
        self._with = equipment
        self._deferred = DeferredWork(equipment.reactor)
        self._spawner = WorkerSpawner(equipment.for_spawning, self._deferred)
        self.table: Mapping[type, Callable[[Order], None]] = dict(
            (
                _row(PrepareGeneration, self._prepare_generation),
                _row(DiscardGeneration, self._discard_generation),
                _row(SpawnWorker, self._spawner.spawn),
                _row(ServeWorker, lambda order: self._send(order.slot, encode("serve"))),
                _row(ParkWorker, lambda order: self._send(order.slot, encode("park"))),
                _row(DrainWorker, self._drain_worker),
                _row(HurryWorker, self._hurry_worker),
                _row(TerminateWorker, lambda order: self._signal(order.slot, signal.SIGTERM)),
                _row(KillWorker, lambda order: self._signal(order.slot, signal.SIGKILL)),
                _row(TerminateOrphans, lambda order: equipment.orphans.signal(order.pids, signal.SIGTERM)),
                _row(KillOrphans, lambda order: equipment.orphans.signal(order.pids, signal.SIGKILL)),
                _row(ObserveWorkers, self._observe_workers),
                _row(CheckMemory, self._check_memory),
                _row(MeasureMemory, self._measure_memory),
                _row(RequestStacks, self._request_stacks),
                _row(RecordIncident, self._record_incident),
                _row(EndBirths, lambda _: equipment.prefork.close()),
                _row(CloseListeners, self._close_listeners),
                _row(ReopenLogs, self._reopen_logs),
                _row(Report, lambda order: equipment.log(order.event, **order.fields)),
                _row(TellProgress, self._tell_progress),
                _row(Answer, lambda order: self._answer(order.ticket, order.status, order.body)),
            )
        )

    def perform(self, order: Order) -> None:
        """Do it now, or put it down as deferred work; a refusal that has no fact of its own is reported."""
        self._attempt(order, lambda: self.table[type(order)](order))

    def fail(self, fact: Fact) -> None:
        """Answer who waits for what comes of a fact that could not be decided."""
        ticket: Ticket | None = getattr(fact, "ticket", None)
        self._answer(ticket, 500, error_body(FAULTED))

    def _attempt(self, order: Order, call: Callable[[], None]) -> None:
        try:
            call()
        except REFUSALS as error:
            self._with.log("order.failed", order=repr(order), error=str(error))
            if isinstance(order, RecordIncident):
                self._answer(order.ticket, 500, error_body(str(error)))

    def _prepare_generation(self, order: PrepareGeneration) -> None:
        needed = {child.generation for child in self._with.children}
        needed |= self._spawner.generations
        try:
            self._with.reactor.tell(self._with.generations.prepare(order.generation, needed))
            self.hand_over_access_log()
            newest = self._with.generations.newest
            for expiry in tls_expiries(newest.location.server, clock.wall(), newest.tls.descriptors):
                self._with.log(expiry.event, **expiry.facts)
        except REFUSALS as error:
            self._with.reactor.tell(GenerationRefused(order.generation, str(error)))

    def _discard_generation(self, order: DiscardGeneration) -> None:
        self._with.generations.discard(order.generation)
        self._with.prefork.tidy()

    def _signal(self, slot: Slot, number: int) -> None:
        if not self._spawner.call_off(slot):
            self._with.children.signal(slot, number)

    def _drain_worker(self, order: DrainWorker) -> None:
        if order.final:
            self._with.listeners.close_accept_queues()
        self._send(order.slot, encode("drain", {"timeout_s": order.timeout_s, "final": order.final}))

    def _hurry_worker(self, order: HurryWorker) -> None:
        self._with.children.mark_leaving(order.slot)
        self._send(order.slot, encode("hurry"))

    def _observe_workers(self, order: ObserveWorkers) -> None:
        """Beats are read at once; memory, which takes a walk through each process, one worker at a time."""
        observer, tell = self._with.observer, self._with.reactor.tell
        if not order.memory:
            for fact in observer.observe(order.slots):
                tell(fact)
            return
        for slot in order.slots:
            self._look_later(order, partial(observer.weigh, slot))

    def _check_memory(self, order: CheckMemory) -> None:
        """No worker is weighed unless the limit is near."""
        observer, sizes = self._with.observer, dict[Slot, int]()
        if not observer.is_memory_short():
            return
        for slot in order.slots:
            self._look_later(order, partial(observer.size, slot, sizes))
        self._look_later(order, partial(observer.near_limit, sizes))

    def _measure_memory(self, order: MeasureMemory) -> None:
        """Every worker is weighed, one at a time: what they use together is theirs to use again."""
        observer, sizes = self._with.observer, dict[Slot, int]()
        for child in self._with.children:
            self._look_later(order, partial(observer.size, child.slot, sizes))
        self._look_later(order, partial(observer.measured, order.slot, sizes))

    def _look_later(self, order: Order, look: Callable[[], list[Fact]]) -> None:
        """Tell what is seen in a later turn of the loop, since looking takes milliseconds."""

        def tell_all() -> None:
            for fact in look():
                self._with.reactor.tell(fact)

        self._deferred.add(partial(self._attempt, order, tell_all))

    def _request_stacks(self, order: RequestStacks) -> None:
        if self._with.children.get(order.slot) is not None:
            self._with.scoreboard.blank_stacks(order.slot)
            self._with.children.signal(order.slot, STACKS_SIGNAL)

    def _record_incident(self, order: RecordIncident) -> None:
        children = self._with.children
        child = children.get(order.slot) if order.stacks is None else children.last(order.slot)
        if child is not None:
            incident = self._with.incidents.record(child, order.kind, order.silent_s, order.stacks, order.reason)
            status, body = 200, incident
        else:
            status, body = 409, error_body(f"slot {order.slot} has no process any more")
        self._answer(order.ticket, status, body)

    def _close_listeners(self, order: CloseListeners) -> None:
        closed = self._with.listeners.end(spare_waiting=order.spare_waiting)
        if closed:
            self._with.log("socket.closed", addresses=list(closed))

    def _reopen_logs(self, order: ReopenLogs) -> None:
        """The master's own log is standard error, which is not ours to reopen."""
        self.hand_over_access_log()
        for slot in order.slots:
            self._send(slot, encode("reopen"))

    def hand_over_access_log(self) -> None:
        """Where workers are another user, the file that they will open is made for them."""
        path, identity = self._with.generations.newest.location.server.access_log, self._with.identity
        if identity is None or path in ("off", "-", "stderr"):
            return
        try:
            hand_over(path, identity)
        except OSError as error:
            self._with.log("access_log.failed", path=path, error=str(error))

    def _tell_progress(self, order: TellProgress) -> None:
        if self._with.door is not None:
            self._with.door.progress(order.ticket, order.body)

    def _answer(self, ticket: Ticket | None, status: int, body: Mapping[str, object]) -> None:
        if ticket is not None and self._with.door is not None:
            self._with.door.answer(ticket, status, body)

    def _send(self, slot: Slot, message: bytes) -> None:
        child = self._with.children.get(slot)
        if child is not None:  # else its exit is being told
            child.pipe.send(message)
