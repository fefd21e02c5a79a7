"""What each fact about a worker means: it moves one slot, and no other."""

from __future__ import annotations

from typing import Final

from supervisor_d.policy import liveness, worker_actions
from supervisor_d.policy.lifecycle import LEAVING, Cause
from supervisor_d.policy.outbox import worker_report
from supervisor_d.policy.slot import Alarm, Departure, Fate, Handle
from supervisor_d.policy.state import Desk
from supervisor_d.vocabulary import (
    TERMINATE_GRACE_S,
    RecordIncident,
    RecordRefused,
    RequestStacks,
    WorkerDetached,
    WorkerFailed,
    WorkerHeld,
    WorkerSpawned,
)
from supervisor_d.vocabulary.status import SlotState

REPLACED: Final = (SlotState.PARKED, SlotState.SUSPECT)
"""States of workers that others serve for already: nobody follows in their slot."""


def spawned(desk: Desk, handle: Handle, fact: WorkerSpawned) -> None:
    handle.move(Cause.SPAWNED, desk.now)
    handle.pid = fact.pid
    desk.outbox.report_worker("worker.spawned", handle, **({"role": fact.role} if fact.role else {}))


def booted(desk: Desk, handle: Handle) -> None:
    handle.move(Cause.BOOTED, desk.now)
    if handle.state is SlotState.BOOTING:
        desk.outbox.report_worker("worker.booted", handle)


def preloaded(desk: Desk, handle: Handle) -> None:
    """Its process is another's from now on; the one that follows here is told as spawned."""
    handle.move(Cause.PRELOADED, desk.now)
    handle.pid = None


def started(desk: Desk, handle: Handle) -> None:
    handle.move(Cause.STARTED, desk.now)
    if handle.state is SlotState.PROBING:
        desk.outbox.report_worker("worker.started", handle)


def became_ready(desk: Desk, handle: Handle, *, serve: bool) -> None:
    handle.move(Cause.BECAME_READY, desk.now)
    if handle.state is SlotState.READY:
        desk.ever_ready = True
        worker_actions.welcome(desk, handle, serve=serve)


def failed(desk: Desk, handle: Handle, fact: WorkerFailed) -> None:
    """It could not boot and says why. It exits by itself; if it does not, SIGKILL comes."""
    was = handle.state
    handle.move(Cause.FAILED, desk.now)
    if was in LEAVING:
        return
    handle.trouble = None
    handle.arm(Alarm.KILL, desk.now + TERMINATE_GRACE_S)
    lines = fact.traceback.strip().splitlines() or ["no traceback"]
    reason = f"could not boot ({fact.stage}): {lines[-1].strip()}"
    report = worker_report("worker.boot_failed", handle, stage=fact.stage, traceback=fact.traceback)
    worker_actions.fail(desk, handle, Fate.BOOT_FAILED, reason, fact.traceback, report)
    handle.held = was not in REPLACED


def parked(desk: Desk, handle: Handle) -> None:
    handle.move(Cause.PARKED, desk.now)
    if handle.state is SlotState.PARKED:
        desk.outbox.report_worker("worker.parked", handle)


def draining(desk: Desk, handle: Handle) -> None:
    """It says that it finishes; where nobody asked for that, it is leaving by itself."""
    was = handle.state
    handle.move(Cause.DRAINING, desk.now)
    handle.depart(Departure.ANNOUNCED)
    if was not in LEAVING:
        finish_s = desk.terms.graceful_timeout if handle.ready_at is not None else 0.0
        _part(desk, handle, was, "left unasked", finish_s + TERMINATE_GRACE_S)


def finished(desk: Desk, handle: Handle) -> None:
    handle.move(Cause.FINISHED, desk.now)
    if handle.state is SlotState.DRAINING:
        liveness.excuse(desk, handle)


def held_up(desk: Desk, handle: Handle, fact: WorkerHeld) -> None:
    """Its end was held up by threads, child processes or exit functions, which the application has left behind."""
    handle.move(Cause.HELD, desk.now)
    desk.outbox.report_worker("worker.held", handle, threads=list(fact.threads), processes=list(fact.processes))
    desk.outbox.add(RecordIncident(handle.slot, "exit_held", 0.0, stacks=fact.stacks))


def drained(desk: Desk, handle: Handle) -> None:
    """Its loop ends now, so its beats do; the exit still has the drain's deadline."""
    was = handle.state
    handle.move(Cause.DRAINED, desk.now)
    if handle.state is SlotState.DRAINING:
        handle.depart(Departure.DRAINED)
        handle.trouble = None
        for alarm in (Alarm.LOOK, Alarm.RECORD, Alarm.STACKS):
            handle.alarms.pop(alarm, None)
        desk.outbox.report_worker("worker.drained", handle)
    elif was not in LEAVING:
        handle.depart(Departure.ANNOUNCED)
        _part(desk, handle, was, "left unasked", TERMINATE_GRACE_S)


def detached(desk: Desk, handle: Handle, fact: WorkerDetached) -> None:
    """The pipe is closed: nearly always the exit follows at once. Where nobody asked for it, it has little time."""
    was = handle.state
    handle.move(Cause.DETACHED, desk.now)
    handle.pipe_closed = True
    if was not in LEAVING:
        _part(desk, handle, was, fact.reason, worker_actions.DETACH_GRACE_S)


def asked_to_recycle(desk: Desk, handle: Handle) -> None:
    handle.move(Cause.ASKED_TO_RECYCLE, desk.now)


def record_refused(desk: Desk, handle: Handle, fact: RecordRefused) -> None:
    """What its record says cannot be true, so its silence may be untrue, too."""
    desk.outbox.report_worker("worker.record_refused", handle, fault=fact.fault)
    liveness.distrust(desk, handle)


def _part(desk: Desk, handle: Handle, was: SlotState, reason: str, grace_s: float) -> None:
    """The worker goes by itself: its place is kept for a moment, and SIGKILL comes if it does not go."""
    handle.trouble = None
    handle.reason = reason
    handle.held = was not in REPLACED
    handle.arm(Alarm.KILL, desk.now + grace_s)
    if grace_s > worker_actions.KILL_GRACE_S and handle.ready_at is not None:
        handle.arm(Alarm.HOLD, desk.now + worker_actions.KILL_GRACE_S)
    desk.moves += 1


def expire_drain(desk: Desk, handle: Handle) -> None:
    """The drain is out of time: keep what it was doing, then have it give up."""
    timeout_s = round(desk.now - handle.since, 3)
    if not handle.drained:
        desk.outbox.add(RecordIncident(handle.slot, "drain_timeout", 0.0))
    worker_actions.terminate(desk, handle, f"not done within {timeout_s:g} s (graceful-timeout)")


def ask_stacks(desk: Desk, handle: Handle) -> None:
    desk.outbox.add(RequestStacks(handle.slot))


def expire_grace(desk: Desk, handle: Handle) -> None:
    """It did not go by itself, nor hurried."""
    if handle.fate is None:
        held = handle.held
        if handle.pipe_closed:
            desk.outbox.report_worker("worker.detached", handle, reason=handle.reason)
        worker_actions.fail(desk, handle, Fate.DETACHED if handle.pipe_closed else Fate.CRASHED, handle.reason)
        handle.held = held
    worker_actions.kill(desk, handle, f"{handle.reason}, and lives on")
