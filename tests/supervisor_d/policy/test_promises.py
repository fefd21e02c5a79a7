"""What holds whatever happens: random facts in random order, against a host on paper.

Checked after every order (tests/helpers/simulated_host.py): a serving worker is taken away only while as many as the
target serve without it, stops excepted; never two recycles at once, that is, never more than one worker above the
target that comes or stays; one process a slot; no illegal transition; every ticket is answered once. In the end, with
obliging workers, the fleet is whole again, and a stop keeps its budget however stubborn the workers are.
"""

from __future__ import annotations

import dataclasses

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from supervisor_d.policy.shutdown import total_budget_s
from supervisor_d.vocabulary import (
    DumpRequested,
    MemoryNearLimit,
    Origin,
    RecycleRequested,
    ReloadRequested,
    ReopenRequested,
    RestartRequested,
    ScaleRequested,
    Slot,
    StopRequested,
    Terms,
    Ticket,
)
from supervisor_d.vocabulary.status import DaemonState, SlotState
from tests.helpers.simulated_host import Process, SimulatedHost

ORIGIN = Origin("control", "test")
WHICH = st.integers(0, 20)
TERMS = st.builds(
    Terms,
    workers=st.integers(1, 4),
    fit_memory=st.booleans(),
    memory_limited=st.booleans(),
    timeout=st.sampled_from([1.0, 3.0, 30.0]),
    boot_timeout=st.sampled_from([2.0, 20.0]),
    graceful_timeout=st.sampled_from([0.0, 2.0, 30.0]),
    shutdown_delay=st.sampled_from([0.0, 3.0]),
    soak=st.sampled_from([0.0, 1.0, 5.0]),
    surge=st.integers(1, 3),
    park=st.booleans(),
    max_age=st.sampled_from([0.0, 40.0]),
    max_memory=st.sampled_from([0, 100]),
    exit_when_failed=st.booleans(),
)


class Promises(RuleBasedStateMachine):
    """One daemon's life."""

    host: SimulatedHost

    @initialize(terms=TERMS, seed=st.integers(0, 3), whole=st.booleans())
    def start(self, terms: Terms, seed: int, whole: bool) -> None:
        self.host = SimulatedHost(terms, seed)
        if whole:
            self.host.advance(0.1, obliging=True)

    @property
    def running(self) -> bool:
        return self.host.policy.exit_code is None

    def _pick(self, which: int) -> Process | None:
        living = self.host.living
        return living[which % len(living)] if living else None

    def _slot(self, which: int) -> Slot:
        return Slot(which % 8 + 1)

    @precondition(lambda self: self.running)
    @rule(times=st.integers(1, 10))
    def facts_arrive(self, times: int) -> None:
        for _ in range(times):
            self.host.deliver()

    @precondition(lambda self: self.running)
    @rule(seconds=st.sampled_from([0.0, 0.05, 0.3, 1.0, 4.0, 12.0, 35.0]))
    def time_passes(self, seconds: float) -> None:
        self.host.advance(seconds)

    @precondition(lambda self: self.running)
    @rule(seconds=st.sampled_from([0.0, 0.3, 2.0, 12.0]))
    def time_passes_well(self, seconds: float) -> None:
        self.host.advance(seconds, obliging=True)

    @precondition(lambda self: self.running)
    @rule(which=WHICH, times=st.integers(1, 3))
    def a_worker_goes_on(self, which: int, times: int) -> None:
        process = self._pick(which)
        for _ in range(times if process else 0):
            assert process is not None
            self.host.boot(process)

    @precondition(lambda self: self.running)
    @rule(which=WHICH)
    def a_boot_fails(self, which: int) -> None:
        if (process := self._pick(which)) is not None:
            self.host.fail_boot(process)

    @precondition(lambda self: self.running)
    @rule(which=WHICH, told=st.booleans())
    def a_worker_crashes(self, which: int, told: bool) -> None:
        if (process := self._pick(which)) is not None:
            if told:
                self.host.detach(process)
            self.host.exit(process, signal="SIGSEGV")

    @precondition(lambda self: self.running)
    @rule(which=WHICH)
    def somebody_terminates_a_worker(self, which: int) -> None:
        if (process := self._pick(which)) is not None:
            self.host.terminate(process)

    @precondition(lambda self: self.running)
    @rule(which=WHICH)
    def a_worker_exits(self, which: int) -> None:
        if (process := self._pick(which)) is not None:
            self.host.exit(process, exit_code=0)

    @precondition(lambda self: self.running)
    @rule(which=WHICH)
    def a_worker_detaches(self, which: int) -> None:
        if (process := self._pick(which)) is not None:
            self.host.detach(process)

    @precondition(lambda self: self.running)
    @rule(which=WHICH, stubborn=st.booleans())
    def a_worker_falls_silent(self, which: int, stubborn: bool) -> None:
        if (process := self._pick(which)) is not None:
            process.silent_since = self.host.now
            process.stubborn = stubborn

    @precondition(lambda self: self.running)
    @rule(which=WHICH)
    def a_worker_beats_again(self, which: int) -> None:
        if (process := self._pick(which)) is not None:
            process.silent_since = None

    @precondition(lambda self: self.running)
    @rule(which=WHICH, errors=st.sampled_from([0, 50]), memory=st.sampled_from([0, 200]))
    def a_worker_is_busy(self, which: int, errors: int, memory: int) -> None:
        if (process := self._pick(which)) is not None:
            process.requests += 50
            process.errors += errors
            process.memory = memory

    @precondition(lambda self: self.running)
    @rule(which=WHICH)
    def a_worker_asks_to_be_replaced(self, which: int) -> None:
        process = self._pick(which)
        if process is not None and process.ready:
            self.host.say(process, RecycleRequested(process.slot, "max-requests reached"))

    @precondition(lambda self: self.running)
    @rule(which=WHICH)
    def memory_runs_out(self, which: int) -> None:
        if (process := self._pick(which)) is not None:
            self.host.tell(MemoryNearLimit(process.slot, 95, 100))

    @precondition(lambda self: self.running)
    @rule(room=st.integers(0, 9))
    def others_use_more_or_less_memory(self, room: int) -> None:
        self.host.room = room

    @precondition(lambda self: self.running)
    @rule(refuse=st.booleans())
    def spawning_works_or_not(self, refuse: bool) -> None:
        self.host.refuse_spawns = refuse

    @precondition(lambda self: self.running)
    @rule(change=st.integers(-3, 6), relative=st.booleans())
    def somebody_scales(self, change: int, relative: bool) -> None:
        self.host.tell(ScaleRequested(ORIGIN, min(change, 2) if relative else change, relative, self.host.ticket()))

    @precondition(lambda self: self.running)
    @rule(dry_run=st.booleans())
    def somebody_reloads(self, dry_run: bool) -> None:
        self.host.tell(ReloadRequested(ORIGIN, self.host.ticket(), dry_run))

    @precondition(lambda self: self.running)
    @rule(sound=st.booleans(), workers=st.integers(1, 4), graceful=st.sampled_from([1.0, 30.0]))
    def the_configuration_is_read(self, sound: bool, workers: int, graceful: float) -> None:
        terms = dataclasses.replace(self.host.terms, workers=workers, graceful_timeout=graceful)
        self.host.prepare(terms if sound else None)

    @precondition(lambda self: self.running)
    @rule(which=WHICH)
    def somebody_restarts(self, which: int) -> None:
        self.host.tell(RestartRequested(ORIGIN, self._slot(which), self.host.ticket()))

    @precondition(lambda self: self.running)
    @rule(which=WHICH)
    def somebody_dumps(self, which: int) -> None:
        self.host.tell(DumpRequested(ORIGIN, self._slot(which), self.host.ticket()))

    @precondition(lambda self: self.running)
    @rule()
    def somebody_reopens(self) -> None:
        self.host.tell(ReopenRequested(ORIGIN))

    @precondition(lambda self: self.running and self.host.open)
    @rule(which=WHICH)
    def somebody_hangs_up(self, which: int) -> None:
        tickets: list[Ticket] = sorted(self.host.open)
        self.host.hang_up(tickets[which % len(tickets)])

    @precondition(lambda self: self.running)
    @rule(fast=st.booleans(), really=st.integers(0, 3))
    def somebody_stops(self, fast: bool, really: int) -> None:
        if really == 0:  # rarely: it ends everything
            self.host.stopping = True
            self.host.tell(StopRequested(ORIGIN, fast, self.host.ticket()))

    @precondition(lambda self: not self.running)
    @rule()
    def nothing_is_left_to_happen(self) -> None:
        assert not self.host.living

    def teardown(self) -> None:
        if hasattr(self, "host"):
            try:
                self._recovers()
                self._stops_in_time()
            except AssertionError as error:
                error.add_note("\n".join(self.host.told))
                raise

    def _recovers(self) -> None:
        """With obliging workers the fleet becomes whole, and nobody waits for an answer any more."""
        status = self.host.policy.status(self.host.now)
        self.host.advance(150.0, obliging=True)
        if not self.running or status.state is DaemonState.DRAINING:
            return
        status = self.host.policy.status(self.host.now)
        assert status.ready == status.target == len(self.host.serving)
        assert status.reload is None
        leaving = {SlotState.DRAINING, SlotState.READY, SlotState.SPAWNING}
        assert {slot.state for slot in status.slots} <= leaving
        assert not self.host.open

    def _stops_in_time(self) -> None:
        """However stubborn the workers are, a stop ends within its budget, with every process gone."""
        budget_s = max(total_budget_s(self.host.terms), 36.0)
        for process in self.host.living:
            process.stubborn = True
        self.host.stopping = True
        if self.running:
            self.host.tell(StopRequested(ORIGIN, fast=False, ticket=self.host.ticket()))
        ends_by = self.host.now + budget_s
        while self.running and self.host.now < ends_by:
            self.host.advance(0.25)
            while self.host.deliver():
                pass
        assert self.host.policy.exit_code is not None
        assert not self.host.living
        assert not self.host.open


TestPromises = Promises.TestCase
TestPromises.settings = settings(
    max_examples=100,
    stateful_step_count=40,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)
