"""One reload: the next step of replacing a generation by another, and the way back.

    PREPARING -> CANARY -> ROLLING -> SOAK -> committed
        |          |          |        |
        +----------+----------+--------+--> ROLLING_BACK -> rolled back

A phase is not a loop but a description of what is wanted: `step` compares the fleet with it and orders the difference,
as often as there is one. Crashed old workers are replaced by old ones before ROLLING, and by new ones from then on.
Whatever goes wrong with a new worker before the commit takes the whole reload back: the parked old workers serve
again first, only then the new ones drain.
"""

from __future__ import annotations

import enum
from typing import Final, Literal

from supervisor_d.policy import liveness, reconciliation, worker_actions
from supervisor_d.policy.canary import Tally, fault
from supervisor_d.policy.slot import Handle
from supervisor_d.policy.state import PolicyState, Sizing, sizing_of
from supervisor_d.vocabulary import (
    Change,
    DiscardGeneration,
    Generation,
    Instant,
    Observation,
    ObserveWorkers,
    Origin,
    PrepareGeneration,
    Terms,
    Ticket,
)
from supervisor_d.vocabulary.status import LastReload, ReloadStatus, SlotState

PREPARE_S: Final = 10.0
"""For the configuration to be read again; chosen: it is read in milliseconds, in the same turn of the host's loop."""
LOOK_S: Final = 1.0
"""Between looks at the answers of both generations; chosen: the workers' figures are a second old at most."""

Outcome = Literal["committed", "rolled_back", "proved"]


class Phase(enum.Enum):
    PREPARING = "preparing"
    CANARY = "canary"
    ROLLING = "rolling"
    SOAK = "soak"
    ROLLING_BACK = "rolling_back"


class Rollout:
    """One reload under way. `outcome` is None until it is decided and done."""

    def __init__(
        self, policy: PolicyState, generation: Generation, origin: Origin, tickets: list[Ticket], dry_run: bool
    ) -> None:
        self.generation = generation
        self.origin = origin
        self.tickets = tickets
        self.dry_run = dry_run
        self.started_at = policy.now
        self.phase = Phase.PREPARING
        self.outcome: Outcome | None = None
        self.reason = ""
        self.traceback = ""
        self.terms = policy.terms
        self.sizing: Sizing | None = None
        self.deadline: Instant | None = Instant(policy.now + PREPARE_S)
        self.look_at: Instant | None = None
        self._expired = False
        self._old = Tally()
        self._new = Tally()
        self._told: tuple[Phase, int, int] | None = None
        self._awaiting_restart: list[str] = []
        policy.moves += 1
        policy.outbox.report("reload.started", generation=generation, origin=str(origin), dry_run=dry_run)
        policy.outbox.add(PrepareGeneration(generation))
        self._look(policy)
        self.tell(policy)

    @property
    def next_deadline(self) -> Instant | None:
        return min((at for at in (self.deadline, self.look_at) if at is not None), default=None)

    @property
    def refills_old(self) -> bool:
        """True while a crashed old worker is replaced by an old one."""
        return self.phase not in (Phase.ROLLING, Phase.SOAK)

    def serves(self, handle: Handle) -> bool:
        """True if a worker that became ready is to serve: all but the canary of a dry run."""
        return not (self.dry_run and handle.generation == self.generation)

    def prepared(self, policy: PolicyState, terms: Terms, changes: tuple[Change, ...]) -> None:
        if self.phase is not Phase.PREPARING:
            return
        self.terms, self.sizing = terms, sizing_of(terms)
        told = [f"{change.name}: {change.old} -> {change.new} ({change.applies})" for change in changes]
        policy.outbox.report("reload.configured", generation=self.generation, changes=told)
        self._awaiting_restart = [change.name for change in changes if change.applies == "restart"]
        self._enter(policy, Phase.CANARY, None)

    def fail(self, policy: PolicyState, reason: str, traceback: str = "") -> None:
        """Take the reload back; the first reason is the one that is reported."""
        if self.phase is Phase.ROLLING_BACK:
            return
        self.reason, self.traceback = reason, traceback
        self.look_at = None
        self._enter(policy, Phase.ROLLING_BACK, Instant(policy.now + policy.terms.boot_timeout))

    def note(self, policy: PolicyState, handle: Handle, seen: Observation) -> None:
        """Count the answers of one worker; too many errors of the new ones fail the reload."""
        if self.look_at is None or not handle.alive:
            return
        tally = self._new if handle.generation == self.generation else self._old
        tally.note(handle.slot, handle.birth, seen)
        verdict = fault(self._old, self._new)
        if verdict is not None:
            self.fail(policy, verdict)

    def step(self, policy: PolicyState) -> None:
        """Order whatever the phase wants and the fleet lacks."""
        if self.look_at is not None and policy.now >= self.look_at:
            self._look(policy)
        if self.deadline is not None and policy.now >= self.deadline:
            self.deadline, self._expired = None, True
        reconciliation.dismiss_others(policy, policy.generation, self.generation)  # left by the reload before
        match self.phase:
            case Phase.PREPARING:
                reconciliation.staff(policy, policy.generation, policy.target)
                if self._expired:
                    self.fail(policy, f"the configuration was not read again within {PREPARE_S:g} s")
            case Phase.CANARY:
                self._step_canary(policy)
            case Phase.ROLLING:
                self._step_rolling(policy)
            case Phase.SOAK:
                self._step_soak(policy)
            case _:
                self._step_back(policy)
        self.tell(policy)

    def _step_canary(self, policy: PolicyState) -> None:
        reconciliation.staff(policy, policy.generation, policy.target)
        reconciliation.staff(policy, self.generation, 1)
        canary = policy.fleet.staying(self.generation)
        if not canary or canary[0].state is not SlotState.READY:
            return
        if self.dry_run:
            self._end(policy, "proved")
        elif self.deadline is None and not self._expired:
            self.deadline = Instant(policy.now + policy.terms.soak)
            policy.moves += 1
        if self._expired:
            self._enter(policy, Phase.ROLLING, None)

    def _step_rolling(self, policy: PolicyState) -> None:
        old = self._old_staying(policy)
        for handle in old:
            if handle.state is not SlotState.READY:
                reconciliation.dismiss(policy, handle, "replaced by the new generation")
        new = policy.fleet.staying(self.generation)
        serving_old = sorted((handle for handle in old if handle.ready), key=lambda handle: handle.index)
        room = policy.target + policy.terms.surge - len(serving_old) - len(new)
        reconciliation.staff(policy, self.generation, min(policy.target, len(new) + max(room, 0)))
        for handle in serving_old:
            if reconciliation.may_spare(policy, handle):
                self._retire(policy, handle)
        if policy.fleet.ready(self.generation) >= policy.target and not self._old_staying(policy):
            self._enter(policy, Phase.SOAK, Instant(policy.now + policy.terms.soak))

    def _step_soak(self, policy: PolicyState) -> None:
        reconciliation.staff(policy, self.generation, policy.target)
        for handle in self._old_staying(policy):  # a suspect that recovered late
            if reconciliation.may_spare(policy, handle):
                self._retire(policy, handle)
        whole = policy.fleet.ready(self.generation) >= policy.target and not self._old_staying(policy)
        if self._expired and whole:
            self._end(policy, "committed")

    def _step_back(self, policy: PolicyState) -> None:
        reconciliation.take_back(policy, policy.generation)
        reconciliation.staff(policy, policy.generation, policy.target)
        reconciliation.dismiss_others(policy, policy.generation)
        if self._expired or not any(handle.stays for handle in policy.fleet.others(policy.generation)):
            self._end(policy, "rolled_back")

    def _old_staying(self, policy: PolicyState) -> list[Handle]:
        return policy.fleet.staying(policy.generation)

    def _retire(self, policy: PolicyState, handle: Handle) -> None:
        if policy.terms.park:
            worker_actions.park(policy, handle)
        else:
            worker_actions.drain(
                policy, handle, "replaced by the new generation", timeout_s=policy.terms.graceful_timeout
            )

    def _enter(self, policy: PolicyState, phase: Phase, deadline: Instant | None) -> None:
        self.phase, self.deadline, self._expired = phase, deadline, False
        policy.moves += 1

    def _look(self, policy: PolicyState) -> None:
        """Look at the answers, and again in a while; twice at least in a soak, however short it is."""
        every_s = min(LOOK_S, policy.terms.soak / 2) if policy.terms.soak else LOOK_S
        self.look_at = Instant(policy.now + every_s)
        ready = tuple(handle.slot for handle in policy.fleet if handle.state is SlotState.READY)
        if ready:
            policy.outbox.add(ObserveWorkers(ready))

    def _end(self, policy: PolicyState, outcome: Outcome) -> None:
        self.outcome = outcome
        self.deadline = self.look_at = None
        policy.moves += 1

    def cancel(self, policy: PolicyState, reason: str) -> None:
        """Decide at once that the old generation is the one that counts."""
        if self.phase is not Phase.ROLLING_BACK:
            self.reason = reason
        self._end(policy, "rolled_back")

    def conclude(self, policy: PolicyState) -> LastReload | None:
        """Put the outcome into force and tell it to all who asked; None after a dry run."""
        duration_s = round(policy.now - self.started_at, 3)
        told: dict[str, object] = {"generation": self.generation, "duration_s": duration_s}
        if self.outcome == "rolled_back":
            answer: dict[str, object] = {**told, "reason": self.reason, "traceback": self.traceback}
            policy.outbox.report("reload.rolled_back", **answer, origin=str(self.origin))
        else:
            answer = {**told, "awaiting_restart": self._awaiting_restart} if self._awaiting_restart else told
            policy.outbox.report(f"reload.{self.outcome}", **told, origin=str(self.origin))
        if self.outcome == "committed":
            self._commit(policy)
        else:
            policy.outbox.add(DiscardGeneration(self.generation))
        for ticket in self.tickets:
            policy.outbox.answer(ticket, 500 if self.outcome == "rolled_back" else 200, outcome=self.outcome, **answer)
        if self.dry_run:
            return None
        return LastReload(str(self.outcome), self.reason, self.generation, duration_s, self.origin)

    def _commit(self, policy: PolicyState) -> None:
        assert self.sizing is not None, "only what was prepared is committed"
        self.sizing.before = policy.sizing.count
        before = policy.terms
        policy.generation, policy.terms, policy.sizing = self.generation, self.terms, self.sizing
        if policy.terms.timeout != before.timeout:
            liveness.look_anew(policy)  # it became ready under the terms before, which may watch no worker

    def replaced(self, policy: PolicyState) -> int:
        """How much of the target the new generation serves; nothing counts before ROLLING."""
        return 0 if self.refills_old else min(policy.fleet.ready(self.generation), policy.target)

    def tell(self, policy: PolicyState) -> None:
        """Send the waiting clients the progress, if it changed."""
        replaced, ready = self.replaced(policy), policy.fleet.ready()
        if (self.phase, replaced, ready) == self._told:
            return
        before, self._told = self._told, (self.phase, replaced, ready)
        step = {"generation": self.generation, "phase": self.phase.value, "replaced": replaced, "target": policy.target}
        if before is None or before[:2] != self._told[:2]:
            policy.outbox.report("reload.progressed", **step)
        for ticket in self.tickets:
            policy.outbox.tell(ticket, **step, ready=ready)

    def status(self, policy: PolicyState) -> ReloadStatus:
        return ReloadStatus(self.phase.value, self.generation, self.replaced(policy), policy.target, self.started_at)
