"""The ladder down: not ready at once, drain, hurry, SIGKILL; and how long it takes at most.

    graceful   shutdown_delay (still accepting) -> drain for graceful_timeout -> hurry, 2 s -> SIGKILL, 1 s
    fast       hurry, 1 s -> SIGKILL, 1 s

A process that is still there 5 s after SIGKILL is left behind.

The lifespan shutdown of the application is part of the drain: a worker that is done early says so and leaves. One
that used up graceful_timeout is hurried over the pipe, gives up what is unfinished, and has the 2 s for its lifespan
shutdown.

The listeners are closed when every worker has said that it left them. One that hangs does not say so, and its copies
would keep late clients waiting, whom no process serves: for it there is a deadline.
"""

from __future__ import annotations

import math
from typing import Final

from server_core.exit_codes import EXIT_INTERNAL, EXIT_OK
from supervisor_d.policy import worker_actions
from supervisor_d.policy.slot import Alarm, Fate, Handle
from supervisor_d.policy.state import PolicyState
from supervisor_d.vocabulary import TERMINATE_GRACE_S, CloseListeners, EndBirths, Instant, Report, Terms
from supervisor_d.vocabulary.status import SlotState

FAST_GRACE_S: Final = 1.0
"""From `hurry` to SIGKILL in a fast stop; chosen: an operator who asks twice does not want to wait."""

ABANDON_S: Final = 5.0
"""From SIGKILL to leaving the process behind, which makes the exit code 1. Only a process in uninterruptible sleep
stays; how long another one takes to be gone depends on the machine: of 60 that were killed at once with 15 processes
waiting for two CPUs, some took more than 1 s. Chosen."""

CLOSE_AFTER_S: Final = 1.0
"""From the order to drain to the end of the listeners that a silent worker keeps open; then again, if a client waits
there. Chosen: twice what a worker waits for handshakes (server_core/listen/acceptor.py); late clients wait as long."""


def total_budget_s(terms: Terms) -> float:
    """The longest a graceful stop can take, in seconds, from the request to the exit of the master."""
    return terms.shutdown_delay + drain_budget_s(terms)


def drain_budget_s(terms: Terms) -> float:
    """The longest the drain itself can take, in seconds, escalation included."""
    return terms.graceful_timeout + TERMINATE_GRACE_S + worker_actions.KILL_GRACE_S


def _fast_budget_s() -> float:
    return FAST_GRACE_S + worker_actions.KILL_GRACE_S


class Shutdown:
    """One stop under way. `exit_code` is what the daemon will exit with; last words are reported at the very end."""

    def __init__(
        self,
        policy: PolicyState,
        *,
        fast: bool,
        delay_s: float,
        exit_code: int = EXIT_OK,
        last_words: Report | None = None,
    ) -> None:
        self.fast = fast
        self.ends_by = Instant(policy.now + (_fast_budget_s() if fast else delay_s + drain_budget_s(policy.terms)))
        self.delay_until: Instant | None = Instant(policy.now + delay_s) if delay_s and not fast else None
        self.exit_code = exit_code
        self.done = False
        self.close_at: Instant | None = None
        self._last_words = last_words
        self._begun = False

    def hasten(self, policy: PolicyState) -> None:
        self.fast = True
        self.ends_by = Instant(min(self.ends_by, policy.now + _fast_budget_s()))
        self.delay_until = None

    def step(self, policy: PolicyState) -> None:
        """Order the next rung for every worker; done when no process is left."""
        self.delay_until = None
        for handle in policy.fleet:
            self._descend(policy, handle)
        self._close(policy)
        if policy.fleet.is_empty() and not self.done:
            self.done = True
            if self._last_words is not None:
                policy.outbox.add(_as_last(self._last_words))

    def _close(self, policy: PolicyState) -> None:
        """No worker is spawned any more, and once the queues are empty no connection is accepted."""
        if not self._begun:
            self._begun = True
            self.close_at = Instant(policy.now + CLOSE_AFTER_S)
            policy.outbox.add(EndBirths())
        if self.close_at is None:
            return
        if self.fast or all(handle.has_left for handle in policy.fleet if handle.alive):
            self.close_at = None
            policy.outbox.add(CloseListeners())
        elif policy.now >= self.close_at:
            self.close_at = Instant(policy.now + CLOSE_AFTER_S)
            policy.outbox.add(CloseListeners(spare_waiting=True))

    def _descend(self, policy: PolicyState, handle: Handle) -> None:
        handle.held = False
        if handle.fate is None and handle.has_left:
            handle.fate = (
                Fate.LEFT
            )  # the group's SIGTERM reached it before it served: it leaves as it would be asked to
        match handle.state:
            case SlotState.BACKOFF:
                worker_actions.release(policy, handle)
            case SlotState.SPAWNING | SlotState.BOOTING | SlotState.PROBING:
                worker_actions.terminate(policy, handle, "the daemon stops", grace_s=self._grace_s)
            case SlotState.READY | SlotState.SUSPECT | SlotState.PARKED:
                timeout_s = 0.0 if self.fast else policy.terms.graceful_timeout
                worker_actions.drain(policy, handle, "the daemon stops", timeout_s=timeout_s, final=not self.fast)
                self._hurry(policy, handle)
            case SlotState.DRAINING:
                drain_by = self.ends_by - TERMINATE_GRACE_S - worker_actions.KILL_GRACE_S
                handle.arm(Alarm.DRAIN, min(handle.alarms.get(Alarm.DRAIN, math.inf), drain_by))
                self._hurry(policy, handle)
            case SlotState.TERMINATING if self.fast:
                handle.arm(Alarm.KILL, min(handle.alarms.get(Alarm.KILL, math.inf), policy.now + FAST_GRACE_S))
            case SlotState.KILLING if Alarm.ABANDON not in handle.alarms:
                handle.arm(Alarm.ABANDON, policy.now + ABANDON_S)
            case _:
                pass

    @property
    def _grace_s(self) -> float:
        return FAST_GRACE_S if self.fast else TERMINATE_GRACE_S

    def _hurry(self, policy: PolicyState, handle: Handle) -> None:
        """Only a worker that drains can be hurried, so drain comes first."""
        if self.fast:
            worker_actions.terminate(policy, handle, "fast stop", grace_s=FAST_GRACE_S)

    def describe(self, now: Instant) -> str:
        """How long it may still take, for a person."""
        if self.delay_until is not None:
            return f"stopping: not ready, still accepting for {max(self.delay_until - now, 0.0):.1f} s"
        return f"stopping: done within {max(self.ends_by - now, 0.0):.1f} s"

    def abandoned(self) -> None:
        """A process is left behind: that is not what was asked for."""
        self.exit_code = self.exit_code or EXIT_INTERNAL


def _as_last(report: Report) -> Report:
    """The last words; a boot failure that ends the daemon says so, since it is printed once more at the end."""
    if report.event != "worker.boot_failed":
        return report
    return Report(report.event, {**report.fields, "is_fatal": True})
