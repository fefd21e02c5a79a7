"""What the policy can do with one worker. Each act moves the slot, arms its deadline, orders it and reports it."""

from __future__ import annotations

from typing import Final

from supervisor_d.policy.lifecycle import Cause
from supervisor_d.policy.outbox import worker_report
from supervisor_d.policy.restart import delay_s, is_storm, remember, share
from supervisor_d.policy.slot import Alarm, Fate, Handle
from supervisor_d.policy.state import Desk, Failure
from supervisor_d.vocabulary import (
    TERMINATE_GRACE_S,
    DrainWorker,
    Generation,
    HurryWorker,
    KillWorker,
    ObserveWorkers,
    ParkWorker,
    Report,
    RequestStacks,
    ServeWorker,
    SpawnWorker,
    TerminateWorker,
)
from supervisor_d.vocabulary.status import SlotState

KILL_GRACE_S: Final = 1.0
"""From SIGKILL to giving up on the process; chosen: a killed process is reaped within milliseconds."""
DETACH_GRACE_S: Final = 0.5
"""From a closed pipe to SIGKILL: a crash closes the pipe a moment before its exit is told. Chosen."""
STACKS_S: Final = 0.5
"""For a worker to write its stacks; chosen: faulthandler took 1.2 ms while C code held the interpreter, but the machine
may be busy, and that may be the very trouble."""
AGE_JITTER: Final = 0.1
"""Workers reach max-age up to this share early, so that those born together are not replaced together; chosen."""


def spawn(desk: Desk, handle: Handle, generation: Generation) -> None:
    _move(desk, handle, Cause.SPAWN)
    handle.beget(generation, desk.now)
    handle.arm(Alarm.BOOT, desk.now + desk.terms.boot_timeout)
    desk.outbox.add(SpawnWorker(handle.slot, generation, handle.index))


def welcome(desk: Desk, handle: Handle, *, serve: bool) -> None:
    """The worker is ready: watch its beats, and let it serve unless it only has to prove that it could."""
    handle.ready_at = handle.beat_at = desk.now
    handle.arm(Alarm.LOOK, desk.now + desk.terms.silence_s)
    if desk.terms.max_age:
        early = AGE_JITTER * share(desk.seed, handle.slot, handle.birth)
        handle.arm(Alarm.AGE, desk.now + desk.terms.max_age * (1 - early))
    desk.outbox.report_worker("worker.ready", handle, duration_s=handle.age_s(desk.now))
    desk.outbox.add(ObserveWorkers((handle.slot,)))  # what it was throttled before now is not its excuse later
    if serve:
        _serve(desk, handle)


def resume(desk: Desk, handle: Handle) -> None:
    """A parked worker serves again."""
    _move(desk, handle, Cause.SERVE)
    _serve(desk, handle)
    desk.outbox.report_worker("worker.resumed", handle)


def recover(desk: Desk, handle: Handle) -> None:
    """A suspect is cleared and serves again."""
    _move(desk, handle, Cause.RECOVER)
    _serve(desk, handle)


def _serve(desk: Desk, handle: Handle) -> None:
    handle.serves = True
    handle.reason = ""
    desk.outbox.add(ServeWorker(handle.slot))


def park(desk: Desk, handle: Handle) -> None:
    _move(desk, handle, Cause.PARK)
    handle.reason = "replaced; waits for the reload's verdict"
    desk.outbox.add(ParkWorker(handle.slot))


def suspect(desk: Desk, handle: Handle, reason: str) -> None:
    """Stop it from accepting, should it be able to hear; it is replaced elsewhere."""
    _move(desk, handle, Cause.SUSPECT)
    handle.reason = reason
    desk.outbox.add(ParkWorker(handle.slot))


def drain(desk: Desk, handle: Handle, reason: str, *, timeout_s: float, final: bool = False) -> None:
    _move(desk, handle, Cause.DRAIN)
    handle.fate = handle.fate or Fate.LEFT
    handle.held = False
    handle.reason = reason
    handle.arm(Alarm.DRAIN, desk.now + timeout_s)
    handle.arm(Alarm.STACKS, desk.now + timeout_s - min(STACKS_S, timeout_s / 2))
    desk.outbox.add(DrainWorker(handle.slot, timeout_s, final))
    desk.outbox.report_worker("worker.draining", handle, timeout_s=timeout_s, reason=reason)


def terminate(desk: Desk, handle: Handle, reason: str, *, grace_s: float = TERMINATE_GRACE_S) -> None:
    """Have it give up: one that drains by our word, one that has not served by SIGTERM.

    Not by SIGTERM in a drain: one to the whole process group reaches the workers besides the master, who drains them.
    Not by word before: while an application is imported nobody reads the pipe.
    """
    order = HurryWorker if handle.state is SlotState.DRAINING else TerminateWorker
    _move(desk, handle, Cause.TERMINATE)
    if handle.fate in (None, Fate.LEFT):
        handle.fate = Fate.TERMINATED
    handle.reason = reason
    handle.arm(Alarm.KILL, desk.now + grace_s)
    desk.outbox.add(order(handle.slot))
    desk.outbox.report_worker("worker.terminated" if handle.pid else "worker.cancelled", handle, reason=reason)


def kill(desk: Desk, handle: Handle, reason: str) -> None:
    _move(desk, handle, Cause.KILL)
    if handle.fate in (None, Fate.LEFT, Fate.TERMINATED):
        handle.fate = Fate.KILLED
    handle.reason = reason
    if handle.held:
        handle.arm(Alarm.HOLD, desk.now + KILL_GRACE_S)
    desk.outbox.add(KillWorker(handle.slot))
    desk.outbox.report_worker("worker.killed", handle, reason=reason)


def abandon(desk: Desk, handle: Handle) -> None:
    """Go on without a process that not even SIGKILL ended (uninterruptible sleep)."""
    desk.outbox.report_worker("worker.killed", handle, reason="still there after SIGKILL: left behind")
    handle.left_behind = True
    _move(desk, handle, Cause.RELEASE)


def release(desk: Desk, handle: Handle) -> None:
    """Wait for no retry any more."""
    _move(desk, handle, Cause.RELEASE)


def give_up_place(desk: Desk, handle: Handle) -> None:
    """Nobody follows in this slot."""
    handle.held = False
    handle.alarms.pop(Alarm.HOLD, None)
    desk.moves += 1


def expire_boot(desk: Desk, handle: Handle) -> None:
    """Not ready in time: ask what it is doing; the incident and SIGKILL follow."""
    was_up = handle.state is not SlotState.SPAWNING
    _move(desk, handle, Cause.BOOT_EXPIRE)
    if was_up:
        desk.outbox.add(RequestStacks(handle.slot))
    handle.arm(Alarm.RECORD, desk.now + STACKS_S)
    report = worker_report("worker.boot_expired", handle, timeout_s=desk.terms.boot_timeout)
    reason = f"not ready within {desk.terms.boot_timeout:g} s"
    fail(desk, handle, Fate.BOOT_EXPIRED, reason, report=report)


def fail(
    desk: Desk, handle: Handle, fate: Fate, reason: str, traceback: str = "", report: Report | None = None
) -> None:
    """Note that a worker failed unasked; its place is kept for a successor.

    The report is held back at the very first boot: there it is for the end, where people look.
    """
    handle.fate = fate
    handle.held = handle.alive
    handle.reason = reason
    desk.moves += 1
    if report is not None and desk.ever_ready:
        desk.outbox.add(report)
    desk.failures.append(Failure(handle, reason, traceback, report))


def back_off(desk: Desk, handle: Handle, *, reason: str) -> float:
    """Count a failure, and spawn a successor in the same slot, at once or later; the seconds until then."""
    booted = handle.ready_at is not None
    deaths = desk.deaths[handle.generation] = remember(desk.deaths.get(handle.generation, ()), desk.now)
    retry_s = delay_s(
        handle.failures,
        booted=booted,
        storm=is_storm(deaths, desk.target),
        seed=desk.seed,
        slot=handle.slot,
    )
    if retry_s:
        _move(desk, handle, Cause.BACK_OFF)
        handle.reason = reason
        handle.arm(Alarm.RETRY, desk.now + retry_s)
    return retry_s


def queue(desk: Desk, handle: Handle, reason: str) -> None:
    """Keep an empty slot for a successor that comes when others have booted."""
    _move(desk, handle, Cause.BACK_OFF)
    handle.reason = reason


def _move(desk: Desk, handle: Handle, cause: Cause) -> None:
    handle.move(cause, desk.now)
    desk.moves += 1
