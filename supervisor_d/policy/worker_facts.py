"""What each fact about a worker means: it moves one slot, and no other."""

from __future__ import annotations

from typing import Final

from supervisor_d.policy import liveness, worker_actions
from supervisor_d.policy.lifecycle import LEAVING, Cause
from supervisor_d.policy.outbox import worker_report
from supervisor_d.policy.slot import Alarm, Departure, Fate, Handle
from supervisor_d.policy.state import PolicyState
from supervisor_d.vocabulary import (
    TERMINATE_GRACE_S,
    RecordIncident,
    RecordRefused,
    RequestStacks,
    WorkerDetached,
    WorkerFailed,
    WorkerHeld,
    WorkerSpawned,
    WorkerStuck,
)
from supervisor_d.vocabulary.status import SlotState

REPLACED: Final = (SlotState.PARKED, SlotState.SUSPECT)
"""States of workers that others serve for already: no successor follows in their slot."""


def spawned(policy: PolicyState, handle: Handle, fact: WorkerSpawned) -> None:
    handle.move(Cause.SPAWNED, policy.now)
    handle.pid = fact.pid
    policy.outbox.report_worker("worker.spawned", handle, **({"role": fact.role} if fact.role else {}))


def booted(policy: PolicyState, handle: Handle) -> None:
    handle.move(Cause.BOOTED, policy.now)
    if handle.state is SlotState.BOOTING:
        policy.outbox.report_worker("worker.booted", handle)


def preloaded(policy: PolicyState, handle: Handle) -> None:
    """Its process is another's from now on; the successor is reported as spawned."""
    handle.move(Cause.PRELOADED, policy.now)
    handle.pid = None


def started(policy: PolicyState, handle: Handle) -> None:
    handle.move(Cause.STARTED, policy.now)
    if handle.state is SlotState.PROBING:
        policy.outbox.report_worker("worker.started", handle)


def became_ready(policy: PolicyState, handle: Handle, *, serve: bool) -> None:
    handle.move(Cause.BECAME_READY, policy.now)
    if handle.state is SlotState.READY:
        policy.ever_ready = True
        worker_actions.welcome(policy, handle, serve=serve)


def failed(policy: PolicyState, handle: Handle, fact: WorkerFailed) -> None:
    """It could not boot and says why. It exits by itself; if it does not, SIGKILL comes."""
    was = handle.state
    handle.move(Cause.FAILED, policy.now)
    if was in LEAVING:
        return
    handle.trouble = None
    handle.arm(Alarm.KILL, policy.now + TERMINATE_GRACE_S)
    lines = fact.traceback.strip().splitlines() or ["no traceback"]
    reason = f"could not boot ({fact.stage}): {lines[-1].strip()}"
    report = worker_report("worker.boot_failed", handle, stage=fact.stage, traceback=fact.traceback)
    worker_actions.fail(policy, handle, Fate.BOOT_FAILED, reason, fact.traceback, report)
    handle.held = was not in REPLACED


def parked(policy: PolicyState, handle: Handle) -> None:
    handle.move(Cause.PARKED, policy.now)
    if handle.state is SlotState.PARKED:
        policy.outbox.report_worker("worker.parked", handle)


def draining(policy: PolicyState, handle: Handle) -> None:
    """It says that it finishes; unless that was asked for, it leaves by itself."""
    was = handle.state
    handle.move(Cause.DRAINING, policy.now)
    handle.depart(Departure.ANNOUNCED)
    if was not in LEAVING:
        finish_s = policy.terms.graceful_timeout if handle.ready_at is not None else 0.0
        _part(policy, handle, was, "left unasked", finish_s + TERMINATE_GRACE_S)


def finished(policy: PolicyState, handle: Handle) -> None:
    handle.move(Cause.FINISHED, policy.now)
    if handle.state is SlotState.DRAINING:
        liveness.excuse(policy, handle)


def held_up(policy: PolicyState, handle: Handle, fact: WorkerHeld) -> None:
    """Its end was held up by threads, child processes or exit functions, which the application has left behind."""
    handle.move(Cause.HELD, policy.now)
    policy.outbox.report_worker("worker.held", handle, threads=list(fact.threads), processes=list(fact.processes))
    policy.outbox.add(RecordIncident(handle.slot, "exit_held", 0.0, stacks=fact.stacks))


def stuck(policy: PolicyState, handle: Handle, fact: WorkerStuck) -> None:
    """Some of its threads do not come back from a request. It serves by the others, so that it is only told."""
    place = f" in {fact.where}" if fact.where else ""
    waiting = f", {fact.queued} requests wait" if fact.queued else ""
    reason = f"{fact.busy} of {fact.threads} threads busy{waiting}, oldest {fact.oldest_s:.0f} s{place}"
    policy.outbox.add(RecordIncident(handle.slot, "thread_stuck", 0.0, stacks=fact.stacks, reason=reason))


def drained(policy: PolicyState, handle: Handle) -> None:
    """Its loop ends now, so its beats do; the exit still has the drain's deadline."""
    was = handle.state
    handle.move(Cause.DRAINED, policy.now)
    if handle.state is SlotState.DRAINING:
        handle.depart(Departure.DRAINED)
        handle.trouble = None
        for alarm in (Alarm.LOOK, Alarm.RECORD, Alarm.STACKS):
            handle.alarms.pop(alarm, None)
        policy.outbox.report_worker("worker.drained", handle)
    elif was not in LEAVING:
        handle.depart(Departure.ANNOUNCED)
        _part(policy, handle, was, "left unasked", TERMINATE_GRACE_S)


def detached(policy: PolicyState, handle: Handle, fact: WorkerDetached) -> None:
    """The pipe is closed: nearly always the exit follows at once. Unless that was asked for, it has little time."""
    was = handle.state
    handle.move(Cause.DETACHED, policy.now)
    handle.pipe_closed = True
    if was not in LEAVING:
        _part(policy, handle, was, fact.reason, worker_actions.DETACH_GRACE_S)


def asked_to_recycle(policy: PolicyState, handle: Handle) -> None:
    handle.move(Cause.ASKED_TO_RECYCLE, policy.now)


def record_refused(policy: PolicyState, handle: Handle, fact: RecordRefused) -> None:
    """What its record says cannot be true, so its silence may be untrue, too."""
    policy.outbox.report_worker("worker.record_refused", handle, fault=fact.fault)
    liveness.distrust(policy, handle)


def _part(policy: PolicyState, handle: Handle, was: SlotState, reason: str, grace_s: float) -> None:
    """The worker goes by itself: its place is kept for a moment, and SIGKILL comes if it does not go."""
    handle.trouble = None
    handle.reason = reason
    handle.held = was not in REPLACED
    handle.arm(Alarm.KILL, policy.now + grace_s)
    if grace_s > worker_actions.KILL_GRACE_S and handle.ready_at is not None:
        handle.arm(Alarm.HOLD, policy.now + worker_actions.KILL_GRACE_S)
    policy.moves += 1


def expire_drain(policy: PolicyState, handle: Handle) -> None:
    """The drain is out of time: keep what it was doing, then have it give up."""
    timeout_s = round(policy.now - handle.since, 3)
    if not handle.drained:
        policy.outbox.add(RecordIncident(handle.slot, "drain_timeout", 0.0))
    worker_actions.terminate(policy, handle, f"not done within {timeout_s:g} s (graceful-timeout)")


def ask_stacks(policy: PolicyState, handle: Handle) -> None:
    policy.outbox.add(RequestStacks(handle.slot))


def expire_grace(policy: PolicyState, handle: Handle) -> None:
    """It did not go by itself, nor hurried."""
    if handle.fate is None:
        held = handle.held
        if handle.pipe_closed:
            policy.outbox.report_worker("worker.detached", handle, reason=handle.reason)
        worker_actions.fail(policy, handle, Fate.DETACHED if handle.pipe_closed else Fate.CRASHED, handle.reason)
        handle.held = held
    worker_actions.kill(policy, handle, f"{handle.reason}, and lives on")
