"""Whose beats are overdue, why, and what follows: suspicion at the soft limit, SIGKILL at the hard one.

Beats are looked at only when one could be overdue: at the last known beat plus the timeout. The look then tells the
real last beat, and nearly always the next look is simply later. A silence that the worker could not help extends the
limit: its cgroup was throttled, the machine was suspended, or other processes had the CPUs. The kernel counts the last
for each worker by itself. Rejected: to excuse all if many are late, for a deploy can hang all of them; and the
machine's pressure (/proc/pressure/cpu), which a hung worker's busy neighbour would raise, too.

With a timeout of 0 the limit is infinite: no look is armed, and nothing wakes the master for one.
"""

from __future__ import annotations

from typing import Final

from supervisor_d.policy import worker_actions
from supervisor_d.policy.lifecycle import UP
from supervisor_d.policy.slot import Alarm, Departure, Fate, Handle, Trouble
from supervisor_d.policy.state import PolicyState
from supervisor_d.vocabulary import (
    Instant,
    Observation,
    ObserveWorkers,
    ProcessState,
    RecordIncident,
    RequestStacks,
)
from supervisor_d.vocabulary.status import SlotState

LOOK_AGAIN_S: Final = 1.0
"""For the answer to a look; chosen: the host answers in the same turn of its loop."""
TROUBLE_LOOK_S: Final = 0.5
"""Between looks at a suspect; chosen."""
EXTENSION_MAX: Final = 3.0
"""The most a limit is extended, in timeouts; chosen: throttling sums over CPUs and must not excuse for ever."""
HARD_SHARE: Final = 1 / 3
HARD_MIN_S: Final = 1.0
HARD_MAX_S: Final = 10.0
"""From the soft limit to the hard one: a third of the timeout within these bounds; chosen so that a worker that hangs
under a timeout of 3 s is gone within 5."""


def hard_after_s(timeout: float) -> float:
    """Seconds from suspicion to SIGKILL."""
    return min(max(timeout * HARD_SHARE, HARD_MIN_S), HARD_MAX_S)


def look(policy: PolicyState) -> None:
    """Look at all beats if one may be overdue; what is still unanswered past its hard limit is killed unseen."""
    due = [handle for handle in policy.fleet if handle.alarms.get(Alarm.LOOK, policy.now + 1) <= policy.now]
    for handle in due:
        trouble = handle.trouble
        if trouble is not None and policy.now >= trouble.kill_at + LOOK_AGAIN_S:
            worker_actions.kill(policy, handle, f"{trouble.kind}: silent for {policy.now - trouble.beat_at:.1f} s")
        elif trouble is not None:
            again_at = policy.now + TROUBLE_LOOK_S
            handle.arm(Alarm.LOOK, min(again_at, trouble.kill_at) if policy.now < trouble.kill_at else again_at)
        else:
            handle.arm(Alarm.LOOK, policy.now + LOOK_AGAIN_S)
    if due:
        policy.outbox.add(ObserveWorkers(policy.fleet.watched()))


def look_anew(policy: PolicyState) -> None:
    """Look at the generation of these terms now, so that its next look is due by them.

    The old generation keeps the look that it has, under a timeout of 0 none: it has the drain's deadline.
    """
    policy.outbox.add(ObserveWorkers(policy.fleet.watched(policy.generation)))


def observe(policy: PolicyState, handle: Handle, seen: Observation) -> None:
    """Judge one worker by its last beats."""
    if handle.state not in UP or handle.finished:
        return
    if handle.distrusted and handle.state is SlotState.DRAINING and handle.trouble is None:
        handle.alarms.pop(Alarm.LOOK, None)
        return
    beat_at = Instant(max(handle.beat_at, seen.loop_beat_at))
    silent_s = policy.now - beat_at
    if silent_s < policy.terms.silence_s:
        _note_fresh(policy, handle, seen, beat_at)
        return
    trouble = handle.trouble
    if trouble is not None:
        if policy.now >= trouble.kill_at:
            worker_actions.kill(policy, handle, f"{trouble.kind}: silent for {silent_s:.1f} s")
        return
    if handle.baseline is None:
        handle.baseline = seen
    throttled_s = seen.throttled_s - handle.baseline.throttled_s
    suspended_s = seen.suspended_s - handle.baseline.suspended_s
    starved_s = seen.starved_s - handle.baseline.starved_s
    # While its cgroup is throttled a thread waits for a CPU, too: the one is part of the other.
    extension_s = min(max(throttled_s, starved_s) + suspended_s, EXTENSION_MAX * policy.terms.silence_s)
    if silent_s < policy.terms.silence_s + extension_s:
        if not handle.extended:
            policy.outbox.report_worker(
                "worker.timeout_extended",
                handle,
                throttled_s=round(throttled_s, 3),
                suspended_s=round(suspended_s, 3),
                starved_s=round(starved_s, 3),
            )
        handle.extended = True
        handle.arm(Alarm.LOOK, beat_at + policy.terms.silence_s + extension_s)
        return
    _suspect(policy, handle, _classify(policy, seen), beat_at)


def _note_fresh(policy: PolicyState, handle: Handle, seen: Observation, beat_at: Instant) -> None:
    silent_s = beat_at - handle.beat_at
    handle.beat_at = beat_at
    handle.baseline = seen
    handle.extended = False
    handle.arm(Alarm.LOOK, beat_at + policy.terms.silence_s)
    if handle.trouble is None:
        return
    _clear(policy, handle, silent_s)
    if handle.state is SlotState.SUSPECT:
        worker_actions.recover(policy, handle)


def _clear(policy: PolicyState, handle: Handle, silent_s: float) -> None:
    """It was not silent for good."""
    if handle.trouble is not None:
        handle.reason = handle.trouble.reason_before
    handle.trouble = None
    handle.alarms.pop(Alarm.RECORD, None)
    handle.fate = Fate.LEFT if handle.state is SlotState.DRAINING else None
    policy.outbox.report_worker("worker.recovered", handle, silent_s=round(silent_s, 3))


def distrust(policy: PolicyState, handle: Handle) -> None:
    """Its record cannot be true, so that its last beat is not known: silence is counted from now on.

    It has one timeout more to be replaced in, and is judged by the deadline of its drain then. Rejected: to count from
    the last beat that was sound, which the master has looked at a timeout ago; a worker that serves would be called
    hung, and killed before its replacement is there, with the requests in it.
    """
    handle.distrusted = True
    if handle.trouble is None and handle.state in UP and not handle.finished:
        handle.beat_at = policy.now
        handle.arm(Alarm.LOOK, policy.now + policy.terms.timeout)


def excuse(policy: PolicyState, handle: Handle) -> None:
    """Watch its beats no more: a lifespan shutdown may block the event loop, and has a deadline, the drain's.

    Waiting for threads (an executor's, a consumer's) is what blocks there, and costs no request any more. In a request
    it does, so that a drain is watched until its requests are over.
    """
    if handle.trouble is not None:
        _clear(policy, handle, policy.now - handle.trouble.beat_at)
    handle.depart(Departure.FINISHED)
    handle.alarms.pop(Alarm.LOOK, None)


def _classify(policy: PolicyState, seen: Observation) -> str:
    """What kind of silence it is: by the other thread's beat, and by what the kernel says."""
    if seen.process_state is ProcessState.STOPPED:
        return "process_stopped"
    if policy.now - seen.thread_beat_at < policy.terms.silence_s / 2:
        return "loop_blocked"
    return "interpreter_held"


def _suspect(policy: PolicyState, handle: Handle, kind: str, beat_at: Instant) -> None:
    silent_s = policy.now - beat_at
    handle.beat_at = beat_at
    kill_at = Instant(policy.now + hard_after_s(policy.terms.silence_s))
    handle.trouble = Trouble(kind, handle.reason, beat_at, kill_at)
    reason = f"{kind}: silent for {silent_s:.1f} s"
    policy.outbox.report_worker("worker.suspected", handle, kind=kind, silent_s=round(silent_s, 3))
    if handle.state is SlotState.READY:
        worker_actions.suspect(policy, handle, reason)
    policy.outbox.add(RequestStacks(handle.slot))
    worker_actions.fail(policy, handle, Fate.HUNG, reason)
    handle.held = False  # its successor does not wait for its end
    handle.arm(Alarm.LOOK, policy.now + TROUBLE_LOOK_S)
    handle.arm(Alarm.RECORD, policy.now + worker_actions.STACKS_S)


def record(policy: PolicyState, handle: Handle) -> None:
    """The stacks are written by now: keep them, with all that is known. A boot that expired is not waited for."""
    if handle.trouble is not None:
        silent_s = round(policy.now - handle.trouble.beat_at, 3)
        policy.outbox.add(RecordIncident(handle.slot, handle.trouble.kind, silent_s))
        return
    policy.outbox.add(RecordIncident(handle.slot, "boot_timeout", handle.age_s(policy.now)))
    worker_actions.kill(policy, handle, handle.reason)
