"""What the end of a process means: the sentence a person reads, the word a program reads, and who follows."""

from __future__ import annotations

from typing import Final

from server_core.exit_codes import EXIT_INTERNAL
from supervisor_d.policy import spawning, worker_actions
from supervisor_d.policy.lifecycle import LEAVING, Cause
from supervisor_d.policy.outbox import worker_report
from supervisor_d.policy.restart import STEADY_S
from supervisor_d.policy.slot import Fate, Handle
from supervisor_d.policy.state import Failure, PolicyState
from supervisor_d.vocabulary import Report, SpawnFailed, WorkerExited
from supervisor_d.vocabulary.status import LastExit, SlotState

FAILURES = frozenset(
    (
        Fate.CRASHED,
        Fate.BOOT_FAILED,
        Fate.BOOT_EXPIRED,
        Fate.SPAWN_FAILED,
        Fate.HUNG,
        Fate.DETACHED,
        Fate.ILLEGAL,
    )
)

ENDED_BY_THE_APPLICATION: Final = ": the application or a library ended the process (os._exit(), or exit() in C code)"
"""What an exit code means of a worker that has not said that it leaves, or could not boot. What raises, SystemExit too,
comes back to the worker, which says so."""


def describe_exit(fact: WorkerExited) -> str:
    """How the process ended, in words: "exited with code 1", "killed by SIGKILL"."""
    if fact.signal is None:
        return f"exited with code {fact.exit_code}"
    if fact.oom_killed:
        return f"killed by {fact.signal}, probably by the kernel's OOM killer"
    return f"killed by {fact.signal}"


def _hint(handle: Handle, fact: WorkerExited) -> str:
    """Who ended a worker whose end was not asked for, where that is known."""
    return ENDED_BY_THE_APPLICATION if fact.exit_code is not None and not handle.has_left else ""


def reap(policy: PolicyState, handle: Handle, fact: WorkerExited, *, refill: bool) -> None:
    """Empty the slot and tell the end; where the place is kept and `refill` holds, the successor comes here."""
    was, held, asked_for = handle.state, handle.held, handle.reason if handle.fate is not None else ""
    handle.move(Cause.EXITED, policy.now)
    policy.moves += 1
    end = describe_exit(fact)
    fate = handle.fate
    if fate is None and was not in LEAVING:
        held = was is not SlotState.PARKED
    if fate is None and handle.ready_at is not None:
        fate = Fate.CRASHED
        end += _hint(handle, fact)
        worker_actions.fail(policy, handle, fate, end)
    elif fate is None:
        fate = Fate.BOOT_FAILED
        end = f"{end} before it was ready{_hint(handle, fact)}"
        words = worker_report("worker.boot_failed", handle, stage="process", traceback=end)
        worker_actions.fail(policy, handle, fate, end, report=None if policy.ever_ready else words)
    elif fate is Fate.LEFT and (fact.signal is not None or fact.exit_code):
        fate = Fate.CRASHED  # it was leaving anyway, but not like this
    reason = f"{asked_for}; {end}" if asked_for else end
    _remember(policy, handle, fact, fate, reason, followed=held and refill)


def _remember(
    policy: PolicyState, handle: Handle, fact: WorkerExited, fate: Fate, reason: str, *, followed: bool
) -> None:
    handle.last_exit = LastExit(fate.value, fact.exit_code, fact.signal, policy.now, reason)
    handle.held = False
    told = {
        "cause": fate.value,
        "exit_code": fact.exit_code,
        "signal": fact.signal,
        "reason": reason,
        "age_s": handle.age_s(policy.now),
    }
    if fate not in FAILURES:
        policy.outbox.report_worker("worker.exited", handle, **told)
        return
    retry_s = count_failure(policy, handle, reason, followed=followed)
    if fate is Fate.BOOT_FAILED and not policy.ever_ready:
        told["reason"] = describe_exit(fact)  # why it could not boot is the last thing that this daemon says
    policy.outbox.report_worker("worker.crashed", handle, **told, retry_s=retry_s)
    if followed and not retry_s:
        spawning.follow(policy, handle)


def count_failure(policy: PolicyState, handle: Handle, reason: str, *, followed: bool) -> float | None:
    """Count one unasked end; the seconds until the successor comes, or None if no successor follows in this slot."""
    if handle.ready_at is not None and policy.now - handle.ready_at >= STEADY_S:
        handle.failures = 0
    handle.failures += 1
    handle.restarts += 1
    return round(worker_actions.back_off(policy, handle, reason=reason), 3) if followed else None


def refuse_spawn(policy: PolicyState, handle: Handle, fact: SpawnFailed, *, refill: bool) -> None:
    """No process came to be; try again later where a worker is still wanted here."""
    wanted = handle.state is SlotState.SPAWNING
    handle.move(Cause.SPAWN_FAILED, policy.now)
    policy.moves += 1
    if not wanted:
        return
    handle.fate = Fate.SPAWN_FAILED
    handle.last_exit = LastExit(Fate.SPAWN_FAILED.value, None, None, policy.now, fact.error)
    retry_s = count_failure(policy, handle, fact.error, followed=refill)
    told = {"slot": handle.slot, "generation": handle.generation, "error": fact.error, "retry_s": retry_s}
    report = Report("worker.spawn_failed", told)
    if policy.ever_ready:
        policy.outbox.add(report)
    policy.failures.append(
        Failure(handle, f"no process could be started: {fact.error}", last_words=report, exit_code=EXIT_INTERNAL)
    )
