"""What the policy can do with one worker. Each act moves the slot, arms its deadline, orders it and reports it."""

from __future__ import annotations

from typing import Final

from supervisor_d.policy.lifecycle import Cause
from supervisor_d.policy.outbox import worker_report
from supervisor_d.policy.restart import delay_s, is_storm, remember, share
from supervisor_d.policy.slot import Alarm, Fate, Handle
from supervisor_d.policy.state import Failure, PolicyState
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
"""From a closed pipe to SIGKILL: a crash closes the pipe a moment before the exit is reported. Chosen."""
STACKS_S: Final = 0.5
"""For a worker to write its stacks; chosen: faulthandler took 1.2 ms while C code held the interpreter, but the machine
may be busy, and that may be the very trouble."""
AGE_JITTER: Final = 0.1
"""Workers reach max-age up to this share early, so that those born together are not replaced together; chosen."""


def spawn(policy: PolicyState, handle: Handle, generation: Generation) -> None:
    _move(policy, handle, Cause.SPAWN)
    handle.begin(generation, policy.now)
    handle.arm(Alarm.BOOT, policy.now + policy.terms.boot_timeout)
    policy.outbox.add(SpawnWorker(handle.slot, generation, handle.index))


def welcome(policy: PolicyState, handle: Handle, *, serve: bool) -> None:
    """The worker is ready: watch its beats, and let it serve unless it only has to prove that it could."""
    handle.ready_at = handle.beat_at = policy.now
    handle.arm(Alarm.LOOK, policy.now + policy.terms.silence_s)
    if policy.terms.max_age:
        early = AGE_JITTER * share(policy.seed, handle.slot, handle.birth)
        handle.arm(Alarm.AGE, policy.now + policy.terms.max_age * (1 - early))
    policy.outbox.report_worker("worker.ready", handle, duration_s=handle.age_s(policy.now))
    policy.outbox.add(ObserveWorkers((handle.slot,)))  # what it was throttled before now is not its excuse later
    if serve:
        _serve(policy, handle)


def resume(policy: PolicyState, handle: Handle) -> None:
    """A parked worker serves again."""
    _move(policy, handle, Cause.SERVE)
    _serve(policy, handle)
    policy.outbox.report_worker("worker.resumed", handle)


def recover(policy: PolicyState, handle: Handle) -> None:
    """A suspect is cleared and serves again."""
    _move(policy, handle, Cause.RECOVER)
    _serve(policy, handle)


def _serve(policy: PolicyState, handle: Handle) -> None:
    handle.serves = True
    handle.reason = ""
    policy.outbox.add(ServeWorker(handle.slot))


def park(policy: PolicyState, handle: Handle) -> None:
    _move(policy, handle, Cause.PARK)
    handle.reason = "replaced; waits for the reload's verdict"
    policy.outbox.add(ParkWorker(handle.slot))


def suspect(policy: PolicyState, handle: Handle, reason: str) -> None:
    """Stop it from accepting, should it be able to hear; it is replaced elsewhere."""
    _move(policy, handle, Cause.SUSPECT)
    handle.reason = reason
    policy.outbox.add(ParkWorker(handle.slot))


def drain(policy: PolicyState, handle: Handle, reason: str, *, timeout_s: float, final: bool = False) -> None:
    _move(policy, handle, Cause.DRAIN)
    handle.fate = handle.fate or Fate.LEFT
    handle.held = False
    handle.reason = reason
    handle.arm(Alarm.DRAIN, policy.now + timeout_s)
    handle.arm(Alarm.STACKS, policy.now + timeout_s - min(STACKS_S, timeout_s / 2))
    policy.outbox.add(DrainWorker(handle.slot, timeout_s, final))
    policy.outbox.report_worker("worker.draining", handle, timeout_s=timeout_s, reason=reason)


def terminate(policy: PolicyState, handle: Handle, reason: str, *, grace_s: float = TERMINATE_GRACE_S) -> None:
    """Have it give up: one that drains by our word, one that has not served by SIGTERM.

    Not by SIGTERM in a drain: one to the whole process group reaches the workers besides the master, who drains them.
    Not by a message first: while an application is imported the pipe is not read.
    """
    order = HurryWorker if handle.state is SlotState.DRAINING else TerminateWorker
    _move(policy, handle, Cause.TERMINATE)
    if handle.fate in (None, Fate.LEFT):
        handle.fate = Fate.TERMINATED
    handle.reason = reason
    handle.arm(Alarm.KILL, policy.now + grace_s)
    policy.outbox.add(order(handle.slot))
    policy.outbox.report_worker("worker.terminated" if handle.pid else "worker.cancelled", handle, reason=reason)


def kill(policy: PolicyState, handle: Handle, reason: str) -> None:
    _move(policy, handle, Cause.KILL)
    if handle.fate in (None, Fate.LEFT, Fate.TERMINATED):
        handle.fate = Fate.KILLED
    handle.reason = reason
    if handle.held:
        handle.arm(Alarm.HOLD, policy.now + KILL_GRACE_S)
    policy.outbox.add(KillWorker(handle.slot))
    policy.outbox.report_worker("worker.killed", handle, reason=reason)


def abandon(policy: PolicyState, handle: Handle) -> None:
    """Go on without a process that not even SIGKILL ended (uninterruptible sleep)."""
    policy.outbox.report_worker("worker.killed", handle, reason="still there after SIGKILL: left behind")
    handle.left_behind = True
    _move(policy, handle, Cause.RELEASE)


def release(policy: PolicyState, handle: Handle) -> None:
    """Wait for no retry any more."""
    _move(policy, handle, Cause.RELEASE)


def give_up_place(policy: PolicyState, handle: Handle) -> None:
    """No successor follows in this slot."""
    handle.held = False
    handle.alarms.pop(Alarm.HOLD, None)
    policy.moves += 1


def expire_boot(policy: PolicyState, handle: Handle) -> None:
    """Not ready in time: ask what it is doing; the incident and SIGKILL follow."""
    was_up = handle.state is not SlotState.SPAWNING
    _move(policy, handle, Cause.BOOT_EXPIRE)
    if was_up:
        policy.outbox.add(RequestStacks(handle.slot))
    handle.arm(Alarm.RECORD, policy.now + STACKS_S)
    report = worker_report("worker.boot_expired", handle, timeout_s=policy.terms.boot_timeout)
    reason = f"not ready within {policy.terms.boot_timeout:g} s"
    fail(policy, handle, Fate.BOOT_EXPIRED, reason, report=report)


def fail(
    policy: PolicyState, handle: Handle, fate: Fate, reason: str, traceback: str = "", report: Report | None = None
) -> None:
    """Note that a worker failed unasked; its place is kept for a successor.

    The report is held back at the very first boot: there it is for the end, where people look.
    """
    handle.fate = fate
    handle.held = handle.alive
    handle.reason = reason
    policy.moves += 1
    if report is not None and policy.ever_ready:
        policy.outbox.add(report)
    policy.failures.append(Failure(handle, reason, traceback, report))


def back_off(policy: PolicyState, handle: Handle, *, reason: str) -> float:
    """Count a failure, and spawn a successor in the same slot, at once or later; the seconds until then."""
    booted = handle.ready_at is not None
    deaths = policy.deaths[handle.generation] = remember(policy.deaths.get(handle.generation, ()), policy.now)
    retry_s = delay_s(
        handle.failures,
        booted=booted,
        storm=is_storm(deaths, policy.target),
        seed=policy.seed,
        slot=handle.slot,
    )
    if retry_s:
        _move(policy, handle, Cause.BACK_OFF)
        handle.reason = reason
        handle.arm(Alarm.RETRY, policy.now + retry_s)
    return retry_s


def queue(policy: PolicyState, handle: Handle, reason: str) -> None:
    """Keep an empty slot for a successor that comes when others have booted."""
    _move(policy, handle, Cause.BACK_OFF)
    handle.reason = reason


def _move(policy: PolicyState, handle: Handle, cause: Cause) -> None:
    handle.move(cause, policy.now)
    policy.moves += 1
