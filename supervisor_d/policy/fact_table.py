"""What each fact means: one table from the kind of fact to its handler.

A fact of the daemon as a whole has a row of `_fact`, one about a worker a row of `_worker`: its slot's handle is looked
up, and a process that a stop has left behind means nothing any more. What operators ask for has rows of `_request`:
the ticket is open from then on until it is answered, and some requests are refused while the daemon stops. A kind of
fact that is missing, or has two rows, fails tests/supervisor_d/policy/test_fact_table.py.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final, Protocol, TypeVar, cast

from supervisor_d.policy import sizing, worker_exits, worker_facts
from supervisor_d.policy.operator_requests import OperatorRequests
from supervisor_d.policy.parts import Parts
from supervisor_d.policy.slot import Handle
from supervisor_d.vocabulary import (
    DeadlineReached,
    DumpRequested,
    Fact,
    GenerationPrepared,
    GenerationRefused,
    ListenerLost,
    ListenerRestored,
    MasterFailing,
    MemoryMeasured,
    MemoryNearLimit,
    OrphanExited,
    OrphansFound,
    RecordRefused,
    RecycleRequested,
    ReloadRequested,
    ReopenRequested,
    RequesterGone,
    RestartRequested,
    ScaleRequested,
    Slot,
    SpawnFailed,
    Started,
    StopRequested,
    Ticket,
    WorkerBooted,
    WorkerDetached,
    WorkerDrained,
    WorkerDraining,
    WorkerExited,
    WorkerFailed,
    WorkerFinished,
    WorkerHeld,
    WorkerObserved,
    WorkerParked,
    WorkerPreloaded,
    WorkerReady,
    WorkerSpawned,
    WorkerStarted,
    WorkerStuck,
)


class AboutWorker(Protocol):
    @property
    def slot(self) -> Slot: ...


class Asking(Protocol):
    @property
    def ticket(self) -> Ticket | None: ...


F = TypeVar("F")
W = TypeVar("W", bound=AboutWorker)
R = TypeVar("R", bound=Asking)

Handler = Callable[[Parts, Fact], None]
Row = tuple[type, Handler]


def _fact(kind: type[F], handler: Callable[[Parts, F], None]) -> Row:
    """The type checker sees that the handler takes what the row is for; so it does in the other two."""
    return kind, cast("Handler", handler)


def _worker(kind: type[W], handler: Callable[[Parts, Handle, W], None]) -> Row:
    def handle(parts: Parts, fact: W) -> None:
        concerned = parts.policy.fleet.handle(fact.slot)
        if not concerned.left_behind:
            handler(parts, concerned, fact)

    return kind, cast("Handler", handle)


def _request(kind: type[R], handler: Callable[[OperatorRequests, R], None], *, while_stopping: bool = False) -> Row:
    def handle(parts: Parts, asked: R) -> None:
        if parts.requests.admits(asked.ticket, while_stopping=while_stopping):
            handler(parts.requests, asked)

    return kind, cast("Handler", handle)


def _wake_up(_: Parts, __: DeadlineReached) -> None:
    """Nothing: what is due is looked up after every fact."""


def _generation_prepared(parts: Parts, fact: GenerationPrepared) -> None:
    if (rollout := parts.trying(fact.generation)) is not None:
        rollout.prepared(parts.policy, fact.terms, fact.changes)


def _generation_refused(parts: Parts, fact: GenerationRefused) -> None:
    if (rollout := parts.trying(fact.generation)) is not None:
        rollout.fail(parts.policy, fact.reason)


def _recycle_requested(parts: Parts, handle: Handle, fact: RecycleRequested) -> None:
    worker_facts.asked_to_recycle(parts.policy, handle)
    parts.requests.recycle(handle, fact.reason)


def _record_refused(parts: Parts, handle: Handle, fact: RecordRefused) -> None:
    worker_facts.record_refused(parts.policy, handle, fact)
    parts.requests.recycle(handle, f"its record cannot be true: {fact.fault}", urgent=True)


def _memory_near_limit(parts: Parts, handle: Handle, fact: MemoryNearLimit) -> None:
    reason = f"memory nearly used up: {fact.used_bytes} of {fact.limit_bytes} bytes"
    parts.requests.recycle(handle, reason, urgent=True)


ROWS: Final[tuple[Row, ...]] = (
    _fact(Started, lambda parts, _: parts.requests.start()),
    _fact(DeadlineReached, _wake_up),
    _fact(MasterFailing, lambda parts, fact: parts.requests.give_up(fact.reason)),
    _fact(OrphansFound, lambda parts, fact: parts.orphanage.found(parts.policy, fact)),
    _fact(OrphanExited, lambda parts, fact: parts.orphanage.exited(fact.pid)),
    _fact(ListenerLost, lambda parts, fact: parts.listening.take_in(parts.policy, fact)),
    _fact(ListenerRestored, lambda parts, fact: parts.listening.take_in(parts.policy, fact)),
    _fact(MemoryMeasured, lambda parts, fact: sizing.take_in(parts.policy, parts.requests.rollout, fact)),
    _fact(GenerationPrepared, _generation_prepared),
    _fact(GenerationRefused, _generation_refused),
    _fact(ReopenRequested, lambda parts, fact: parts.requests.reopen(fact)),
    _fact(RequesterGone, lambda parts, fact: parts.requests.forget(fact.ticket)),
    _worker(WorkerSpawned, lambda parts, handle, fact: worker_facts.spawned(parts.policy, handle, fact)),
    _worker(
        SpawnFailed,
        lambda parts, handle, fact: worker_exits.refuse_spawn(parts.policy, handle, fact, refill=parts.refills(handle)),
    ),
    _worker(WorkerBooted, lambda parts, handle, _: worker_facts.booted(parts.policy, handle)),
    _worker(WorkerPreloaded, lambda parts, handle, _: worker_facts.preloaded(parts.policy, handle)),
    _worker(WorkerStarted, lambda parts, handle, _: worker_facts.started(parts.policy, handle)),
    _worker(
        WorkerReady,
        lambda parts, handle, _: worker_facts.became_ready(parts.policy, handle, serve=parts.serves(handle)),
    ),
    _worker(WorkerFailed, lambda parts, handle, fact: worker_facts.failed(parts.policy, handle, fact)),
    _worker(
        WorkerExited,
        lambda parts, handle, fact: worker_exits.reap(parts.policy, handle, fact, refill=parts.refills(handle)),
    ),
    _worker(WorkerDetached, lambda parts, handle, fact: worker_facts.detached(parts.policy, handle, fact)),
    _worker(WorkerParked, lambda parts, handle, _: worker_facts.parked(parts.policy, handle)),
    _worker(WorkerDraining, lambda parts, handle, _: worker_facts.draining(parts.policy, handle)),
    _worker(WorkerFinished, lambda parts, handle, _: worker_facts.finished(parts.policy, handle)),
    _worker(WorkerDrained, lambda parts, handle, _: worker_facts.drained(parts.policy, handle)),
    _worker(WorkerHeld, lambda parts, handle, fact: worker_facts.held_up(parts.policy, handle, fact)),
    _worker(WorkerStuck, lambda parts, handle, fact: worker_facts.stuck(parts.policy, handle, fact)),
    _worker(WorkerObserved, lambda parts, handle, fact: parts.observe(handle, fact.observation)),
    _worker(RecycleRequested, _recycle_requested),
    _worker(RecordRefused, _record_refused),
    _worker(MemoryNearLimit, _memory_near_limit),
    _request(ScaleRequested, OperatorRequests.scale),
    _request(ReloadRequested, OperatorRequests.reload),
    _request(RestartRequested, OperatorRequests.restart),
    _request(DumpRequested, OperatorRequests.dump, while_stopping=True),
    _request(StopRequested, OperatorRequests.stop_as_asked, while_stopping=True),
)

HANDLERS: Final[Mapping[type, Handler]] = dict(ROWS)
