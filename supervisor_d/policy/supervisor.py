"""Turns facts into orders: the whole policy behind one door.

A mutable sans-IO object: no I/O, no clock, no log, no randomness. Each fact moves one slot; then the fleet is compared
with what is wanted, and orders follow until nothing is left to order. What is wanted depends on the phase: a stop
wins over a reload, a reload over plain service. Nothing here waits; whatever has to wait has a deadline, and the
earliest of all is `next_deadline`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from server_core.exit_codes import EXIT_BOOT_FAILED
from supervisor_d.policy import liveness, reconciliation, sizing, spawning, worker_actions, worker_facts
from supervisor_d.policy.fact_table import HANDLERS
from supervisor_d.policy.lifecycle import IllegalTransition
from supervisor_d.policy.parts import parts_of
from supervisor_d.policy.slot import Alarm, Fate, Handle
from supervisor_d.policy.state import Failure, PolicyState, sizing_of
from supervisor_d.vocabulary import Fact, Instant, KillWorker, Order, Terms
from supervisor_d.vocabulary.status import DaemonState, SizingStatus, SlotState, Status

ALARMS: Final[Mapping[Alarm, Callable[[PolicyState, Handle], None]]] = {
    Alarm.BOOT: worker_actions.expire_boot,
    Alarm.RECORD: liveness.record,
    Alarm.STACKS: worker_facts.ask_stacks,
    Alarm.DRAIN: worker_facts.expire_drain,
    Alarm.KILL: worker_facts.expire_grace,
    Alarm.HOLD: worker_actions.give_up_place,
    Alarm.ABANDON: worker_actions.abandon,
    Alarm.RETRY: spawning.retry,
}
"""What is done when an alarm is due. LOOK and AGE are missing: the one is for all workers together, the other asks
recycling."""


class Supervisor:
    """The policy. Facts go in with the instant, orders come out; it never looks at anything else."""

    def __init__(self, terms: Terms, *, seed: int = 0) -> None:
        sized = sizing_of(terms)
        self._parts = parts_of(PolicyState(terms, seed, sized.count or 1, sized))
        self._state = self._parts.policy
        self._requests = self._parts.requests

    @property
    def exit_code(self) -> int | None:
        """None while running; then what the master exits with."""
        shutdown = self._requests.shutdown
        return shutdown.exit_code if shutdown is not None and shutdown.done and not self._parts.orphanage else None

    @property
    def next_deadline(self) -> Instant | None:
        """The earliest instant at which something is due without any fact; None if nothing ever is."""
        rollout, shutdown = self._requests.rollout, self._requests.shutdown
        deadlines = (
            self._state.fleet.next_alarm(),
            self._parts.orphanage.next_deadline,
            self._parts.memory.next_deadline if shutdown is None else None,
            self._parts.health.next_deadline if shutdown is None else None,
            self._requests.next_dump,
            rollout.next_deadline if rollout else None,
            shutdown.delay_until if shutdown else None,
            shutdown.close_at if shutdown else None,
        )
        return min((at for at in deadlines if at is not None), default=None)

    def receive(self, fact: Fact, now: Instant) -> list[Order]:
        """What to do about a fact, in this order."""
        self._state.now = now
        try:
            HANDLERS[type(fact)](self._parts, fact)
            self._fire_alarms()
            self._settle()
        except IllegalTransition as illegal:
            self._punish(illegal)
        return self._state.outbox.take()

    def status(self, now: Instant) -> Status:
        """The snapshot that all other parts may see."""
        policy, rollout, shutdown = self._state, self._requests.rollout, self._requests.shutdown
        state, reason = self._parts.health.state, self._parts.health.reason
        if shutdown is not None:
            state, reason = DaemonState.DRAINING, shutdown.describe(now)
        elif rollout is not None:
            state = DaemonState.RELOADING
        return Status(
            state=state,
            generation=policy.generation,
            target=policy.target,
            ready=policy.fleet.ready(),
            slots=tuple(handle.status() for handle in policy.fleet if handle.state is not SlotState.EMPTY),
            last_reload=self._requests.last_reload,
            reload=rollout.status(policy) if rollout is not None else None,
            reason=reason,
            sizing=SizingStatus(policy.sizing.count, policy.sizing.reason),
            lost_listeners=self._parts.listening.lost,
        )

    def _fire_alarms(self) -> None:
        policy = self._state
        liveness.look(policy)
        for handle in policy.fleet:
            due = [alarm for alarm, at in handle.alarms.items() if at <= policy.now and alarm is not Alarm.LOOK]
            for alarm in due:
                if handle.alarms.pop(alarm, None) is None:
                    continue  # an alarm before it moved the slot, and this one means nothing there
                if alarm is Alarm.AGE:
                    self._requests.recycle(handle, f"max-age {policy.terms.max_age:g} s reached")
                    continue
                if alarm is Alarm.ABANDON and self._requests.shutdown is not None:
                    self._requests.shutdown.abandoned()
                ALARMS[alarm](policy, handle)
        self._requests.fire_dumps()
        self._parts.orphanage.fire(policy)

    def _settle(self) -> None:
        """Compare the fleet with what is wanted until nothing changes."""
        policy = self._state
        moves = -1
        while moves != policy.moves:
            moves = policy.moves
            while policy.failures:
                self._spread(policy.failures.pop(0))
            self._step()
        if self._requests.shutdown is None:
            failed = self._parts.health.judge(policy, reloading=self._requests.rollout is not None)
            if failed is not None:
                policy.outbox.report("fleet.failed", reason=failed)
                self._requests.stop(fast=False, exit_code=EXIT_BOOT_FAILED)
                self._settle()

    def _step(self) -> None:
        policy, requests = self._state, self._requests
        if not requests.started:
            return
        shutdown = requests.shutdown
        if shutdown is not None and (shutdown.delay_until is None or policy.now >= shutdown.delay_until):
            shutdown.step(policy)
            if shutdown.done:
                requests.refuse_open("the daemon stopped")
            return
        if shutdown is None:
            self._parts.memory.step(policy)
            sizing.proceed(policy, requests.rollout)
        spawning.resume(policy)
        requests.begin_reload()
        if requests.rollout is not None:
            requests.rollout.step(policy)
            requests.end_reload()
            return
        reconciliation.take_back(policy, policy.generation)
        reconciliation.staff(policy, policy.generation, policy.target, replaced=self._parts.recycling.replaced(policy))
        reconciliation.dismiss_others(policy, policy.generation)
        if shutdown is None:
            self._parts.recycling.step(policy)

    def _spread(self, failure: Failure) -> None:
        """Tell the parts that depend on the worker that it failed."""
        requests = self._requests
        if not self._state.ever_ready and requests.shutdown is None:
            requests.stop(fast=True, exit_code=failure.exit_code, last_words=failure.last_words)
        elif (rollout := self._parts.trying(failure.handle.generation)) is not None:
            reason = f"worker in slot {failure.handle.slot}: {failure.reason}"
            rollout.fail(self._state, reason, failure.traceback)
        else:
            self._parts.recycling.failed(self._state, failure)

    def _punish(self, illegal: IllegalTransition) -> None:
        """It costs the one worker that it concerns."""
        policy, handle = self._state, self._state.fleet.handle(illegal.slot)
        policy.outbox.report_worker("worker.illegal_transition", handle, **illegal.facts)
        policy.outbox.add(KillWorker(illegal.slot))
        if handle.alive:
            handle.condemn(policy.now)
            worker_actions.fail(policy, handle, Fate.ILLEGAL, str(illegal))
            handle.arm(Alarm.HOLD, policy.now + worker_actions.KILL_GRACE_S)
