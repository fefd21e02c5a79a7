"""Every order becomes a deed; what fails comes back as a fact, is reported, and never ends the master."""

from __future__ import annotations

import os
import signal
import socket
import sys
import typing
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from server_core.contract.figures import Figures, pack_figures
from server_core.contract.messages import Message, decode
from server_core.contract.scoreboard import IN_FLIGHT_OFFSET, STACKS_SIGNAL, InFlight, pack_in_flight
from supervisor_d import clock
from supervisor_d.errors import SpawnError
from supervisor_d.host.generations import Generations
from supervisor_d.host.observation.incidents import Incidents
from supervisor_d.host.observation.observer import Observer
from supervisor_d.host.observation.scoreboard import Scoreboard
from supervisor_d.host.order_executor import Equipment, OrderExecutor
from supervisor_d.host.processes.orphans import Orphans
from supervisor_d.host.processes.prefork import PreforkFactory
from supervisor_d.host.processes.process_table import Child, ProcessTable
from supervisor_d.host.reactor import READ, Reactor
from supervisor_d.host.sockets.listener import Binding
from supervisor_d.host.sockets.listeners import Listeners
from supervisor_d.host.system.cgroup import Cgroup
from supervisor_d.settings.resolve import resolve
from supervisor_d.settings.values.address import parse_address
from supervisor_d.vocabulary import (
    Answer,
    CheckMemory,
    CloseListeners,
    DiscardGeneration,
    DrainWorker,
    Generation,
    GenerationPrepared,
    GenerationRefused,
    HurryWorker,
    KillWorker,
    MeasureMemory,
    MemoryMeasured,
    MemoryNearLimit,
    ObserveWorkers,
    Order,
    Origin,
    ParkWorker,
    PrepareGeneration,
    ProcessState,
    RecordIncident,
    RecycleRequested,
    ReopenLogs,
    ReopenRequested,
    Report,
    RequestStacks,
    ServeWorker,
    Slot,
    SpawnFailed,
    SpawnWorker,
    TellProgress,
    TerminateWorker,
    Ticket,
    WorkerExited,
    WorkerObserved,
    WorkerReady,
    WorkerSpawned,
)
from tests.helpers.deadline import GENEROUS_S
from tests.helpers.facts import Told
from tests.helpers.logs import Remembered
from tests.helpers.records import record_fd

SLOT = Slot(1)

WORKER = f"""
import faulthandler, json, os, signal, socket, sys
pipe = socket.socket(fileno=int(sys.argv[1]))
spec = json.loads(pipe.recv(131072).partition(b" ")[2])
faulthandler.register({STACKS_SIGNAL}, file=spec["record_fd"], all_threads=True)
signal.signal(signal.SIGTERM, lambda *_: os._exit(5))
signal.pthread_sigmask(signal.SIG_SETMASK, ())
def repeats_what_it_is_told():
    pipe.send(b"ready\\n")
    while line := pipe.recv(1000):
        pipe.send(b"recycle " + json.dumps({{"reason": line.decode()}}).encode() + b"\\n")
repeats_what_it_is_told()
"""
"""Speaks the contract and tells back every order that comes over its pipe."""


class Door:
    """Remembers what tickets were told."""

    def __init__(self) -> None:
        self.answers: list[tuple[Ticket, int, Mapping[str, object]]] = []
        self.steps: list[tuple[Ticket, Mapping[str, object]]] = []

    def answer(self, ticket: Ticket, status: int, body: Mapping[str, object]) -> None:
        self.answers.append((ticket, status, body))

    def progress(self, ticket: Ticket, body: Mapping[str, object]) -> None:
        self.steps.append((ticket, body))


class Rig:
    """A performer with everything real but the workers, which are stand-ins."""

    def __init__(self, directory: Path) -> None:
        self.config = directory / "supervisor-d.toml"
        self.config.write_text('workers = 2\ngraceful-timeout = "10s"\n')
        self.reactor = Reactor()
        self.told = Told(self.reactor)
        self.log = Remembered()
        self.door = Door()
        self.scoreboard = Scoreboard()
        self.listeners = Listeners(self.log)
        self.listeners.open(Binding([parse_address("127.0.0.1:0")], "test", 8, 0o660), {})
        self.resolved = resolve({"app": "main:app", "config": str(self.config)}, {})
        self.generations = Generations(self.resolved)
        self.children = ProcessTable(self.reactor, self.log, dict(os.environ), self.before_exit_is_told, self.command)
        self.cgroup = Cgroup(directory)
        observer = Observer(self.children, self.scoreboard, self.cgroup)
        self.incidents = Incidents(self.scoreboard, self.log)
        self.wanted = 1
        self.executor = OrderExecutor(
            Equipment(
                name="rig",
                reactor=self.reactor,
                log=self.log,
                listeners=self.listeners,
                scoreboard=self.scoreboard,
                children=self.children,
                prefork=PreforkFactory(
                    self.reactor, self.children, self.log, lambda: self.generations.newest_number, lambda: self.wanted
                ),
                generations=self.generations,
                observer=observer,
                incidents=self.incidents,
                orphans=Orphans(self.reactor, self.children),
                door=self.door,
            )
        )

    def command(self, pipe_fd: int) -> list[str]:
        return [sys.executable, "-c", WORKER, str(pipe_fd)]  # looked up for every spawn: a test takes it away

    def before_exit_is_told(self, child: Child, _: int) -> bool:
        self.scoreboard.retire(child.slot)
        return False

    def spawn(self, slot: Slot = SLOT) -> int:
        self.executor.perform(SpawnWorker(slot, Generation(1)))
        pid = self.told.expect(WorkerSpawned).pid
        self.told.expect(WorkerReady)
        return pid

    def hears(self) -> Message:
        """What the stand-in worker says it was told."""
        return decode(self.told.expect(RecycleRequested).reason.encode())

    def store(self, figures: Figures, in_flight: list[InFlight]) -> None:
        os.pwrite(record_fd(SLOT), pack_figures(figures), 0)
        os.pwrite(record_fd(SLOT), pack_in_flight(in_flight), IN_FLIGHT_OFFSET)

    def close(self) -> None:
        for child in self.children:
            self.executor.perform(KillWorker(child.slot))
            self.told.expect(WorkerExited)
        self.listeners.close()
        self.scoreboard.close()
        self.reactor.close()


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    made = Rig(tmp_path)
    yield made
    made.close()


def test_the_table_has_a_row_for_every_order_there_is(rig: Rig) -> None:
    assert set(rig.executor.table) == set(typing.get_args(Order))


@pytest.mark.parametrize("slot", [Slot(1), Slot(4095)])
def test_orders_to_an_empty_slot_are_nothing(rig: Rig, slot: Slot) -> None:
    for order in (
        ServeWorker(slot),
        ParkWorker(slot),
        DrainWorker(slot, 1.0),
        HurryWorker(slot),
        TerminateWorker(slot),
        KillWorker(slot),
        RequestStacks(slot),
        ReopenLogs((slot,)),
        ObserveWorkers((slot,), memory=True),
        MeasureMemory(slot),
        RecordIncident(slot, "dump", 0.0),
        DiscardGeneration(Generation(9)),
        TellProgress(Ticket(1), {}),
    ):
        rig.executor.perform(order)
    rig.executor.perform(SpawnWorker(SLOT, Generation(1)))
    assert isinstance(rig.reactor.wait(None)[0], WorkerSpawned), "no fact came before this one"
    assert rig.log.named("order.failed") == []
    rig.told.expect(WorkerReady)


@pytest.mark.parametrize(
    ("order", "message"),
    [
        (ServeWorker(SLOT), Message("serve")),
        (ParkWorker(SLOT), Message("park")),
        (DrainWorker(SLOT, 2.5, final=True), Message("drain", {"timeout_s": 2.5, "final": True})),
        (HurryWorker(SLOT), Message("hurry")),
        (ReopenLogs((SLOT,)), Message("reopen")),
    ],
)
def test_orders_to_a_worker_arrive_as_the_contract_has_them(rig: Rig, order: Order, message: Message) -> None:
    rig.spawn()
    rig.executor.perform(order)
    assert rig.hears() == message


@pytest.mark.parametrize("final", [False, True])
def test_only_the_final_drain_turns_newcomers_away(rig: Rig, final: bool) -> None:
    rig.spawn()
    turned: list[bool] = []
    rig.listeners.close_accept_queues = lambda: turned.append(True)  # type: ignore[method-assign]  # told, not done
    rig.executor.perform(DrainWorker(SLOT, 2.5, final=final))
    assert turned == [True] * final


def test_terminate_is_sigterm_and_kill_is_sigkill(rig: Rig) -> None:
    rig.spawn()
    rig.executor.perform(TerminateWorker(SLOT))
    assert rig.told.expect(WorkerExited).exit_code == 5
    rig.spawn()
    rig.executor.perform(KillWorker(SLOT))
    assert rig.told.expect(WorkerExited).signal == "SIGKILL"


def test_a_stopped_worker_is_killed_all_the_same(rig: Rig) -> None:
    pid = rig.spawn()
    os.kill(pid, signal.SIGSTOP)
    os.waitid(os.P_PID, pid, os.WSTOPPED | os.WNOWAIT)
    rig.executor.perform(KillWorker(SLOT))
    assert rig.told.expect(WorkerExited).signal == "SIGKILL"


def test_a_worker_that_cannot_be_spawned_comes_back_as_a_fact(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    rig.spawn()
    rig.executor.perform(SpawnWorker(SLOT, Generation(1)))
    assert "still holds process" in rig.told.expect(SpawnFailed).error
    rig.executor.perform(SpawnWorker(Slot(2), Generation(9)))
    assert rig.told.expect(SpawnFailed) == SpawnFailed(Slot(2), "generation 9 has no configuration")
    monkeypatch.setattr(sys, "executable", "/not/there")
    rig.executor.perform(SpawnWorker(Slot(2), Generation(1)))
    assert "No such file" in rig.told.expect(SpawnFailed).error


def test_spawns_leave_turns_to_everything_else(rig: Rig) -> None:
    """A descriptor that became readable while several spawns were ordered is heard before they all are done."""
    reader, writer = os.pipe()
    rig.reactor.watch(
        reader, READ, lambda _: (os.read(reader, 1), rig.reactor.tell(ReopenRequested(Origin("a", "b"))))[1]
    )
    for slot in (1, 2, 3):
        rig.executor.perform(SpawnWorker(Slot(slot), Generation(1)))
    os.write(writer, b"x")
    rig.told.expect(ReopenRequested)
    assert rig.told.kinds().count("WorkerSpawned") <= 1
    for _ in range(3):
        rig.told.expect(WorkerReady)
    assert rig.told.kinds().count("WorkerSpawned") == 3
    rig.reactor.forget(reader)
    os.close(reader)
    os.close(writer)


@pytest.mark.parametrize("end", [TerminateWorker, KillWorker])
def test_a_worker_that_is_ended_before_its_birth_is_not_born(
    rig: Rig, end: type[TerminateWorker] | type[KillWorker]
) -> None:
    rig.executor.perform(SpawnWorker(SLOT, Generation(1)))
    rig.executor.perform(end(SLOT))
    assert rig.told.expect(SpawnFailed) == SpawnFailed(SLOT, "called off before it began")
    rig.spawn()
    assert rig.told.kinds().count("WorkerSpawned") == 1


def test_an_observation_tells_beats_counters_and_the_state_of_the_process(rig: Rig) -> None:
    pid = rig.spawn()
    rig.store(
        Figures(loop_beat_at=3.5, thread_beat_at=4.5, requests_total=9, responses=(0, 0, 0, 0, 2), in_flight=1), []
    )
    rig.executor.perform(ObserveWorkers((SLOT,)))
    seen = rig.told.expect(WorkerObserved).observation
    assert (seen.loop_beat_at, seen.thread_beat_at) == (3.5, 4.5)
    assert (seen.requests_total, seen.responses_5xx, seen.in_flight) == (9, 2, 1)
    assert (seen.process_state, seen.memory_bytes) == (ProcessState.RUNNING, None)
    os.kill(pid, signal.SIGSTOP)
    os.waitid(os.P_PID, pid, os.WSTOPPED | os.WNOWAIT)
    rig.executor.perform(ObserveWorkers((SLOT,), memory=True))
    seen = rig.told.expect(WorkerObserved).observation
    assert seen.process_state is ProcessState.STOPPED
    assert seen.memory_bytes is not None
    assert 1 << 20 < seen.memory_bytes < 1 << 30


def test_memory_that_is_nearly_used_up_names_the_fattest_worker(tmp_path: Path) -> None:
    (tmp_path / "proc/self").mkdir(parents=True)
    (tmp_path / "proc/self/cgroup").write_text("0::/\n")
    (tmp_path / "proc/self/mountinfo").write_text("30 20 0:26 / /cg rw - cgroup2 cgroup2 rw\n")
    (tmp_path / "cg").mkdir()
    (tmp_path / "cg/memory.max").write_text("1000\n")
    (tmp_path / "cg/memory.current").write_text("899\n")
    rig = Rig(tmp_path)
    rig.spawn(Slot(1))
    rig.executor.perform(CheckMemory((Slot(1),)))
    (tmp_path / "cg/memory.current").write_text("900\n")
    rig.executor.perform(CheckMemory((Slot(1), Slot(2))))
    assert rig.told.expect(MemoryNearLimit) == MemoryNearLimit(Slot(1), 900, 1000)
    assert rig.told.kinds().count("MemoryNearLimit") == 1
    rig.close()


def test_a_worker_is_weighed_against_the_limit_and_what_all_of_us_use_is_ours(tmp_path: Path) -> None:
    (tmp_path / "proc/self").mkdir(parents=True)
    (tmp_path / "proc/self/cgroup").write_text("0::/\n")
    (tmp_path / "proc/self/mountinfo").write_text("30 20 0:26 / /cg rw - cgroup2 cgroup2 rw\n")
    (tmp_path / "cg").mkdir()
    rig = Rig(tmp_path)
    rig.spawn(Slot(1))
    rig.spawn(Slot(2))
    rig.executor.perform(MeasureMemory(Slot(2)))
    assert rig.told.expect(MemoryMeasured).limit_bytes == 0, "nothing limits"
    (tmp_path / "cg/memory.max").write_text("1000000000\n")
    (tmp_path / "cg/memory.current").write_text("500000000\n")
    rig.executor.perform(MeasureMemory(Slot(3)))  # of a slot that is empty nothing is told
    rig.executor.perform(MeasureMemory(Slot(2)))
    measured = rig.told.expect(MemoryMeasured)
    assert (measured.slot, measured.limit_bytes) == (2, 1000000000)
    assert 1 << 20 < measured.worker_bytes < 1 << 30
    others_use = 900_000_000 - measured.room_bytes
    assert 500_000_000 - 3 * measured.worker_bytes < others_use < 500_000_000 - measured.worker_bytes, "both are ours"
    rig.close()


def test_an_incident_holds_stacks_requests_and_figures_and_answers_its_ticket(rig: Rig) -> None:
    pid = rig.spawn()
    rig.store(Figures(requests_total=3), [InFlight(clock.now() - 2.0, "GET", "/slow?\x1b[31m")])
    rig.executor.perform(RequestStacks(SLOT))
    # The handler runs before the process reads again: when it tells back this order, the stacks are written.
    rig.executor.perform(ServeWorker(SLOT))
    rig.hears()
    rig.executor.perform(RecordIncident(SLOT, "loop_blocked", 3.25, Ticket(8)))
    (incident,) = rig.incidents
    assert (incident["slot"], incident["pid"], incident["generation"], incident["kind"]) == (1, pid, 1, "loop_blocked")
    assert "repeats_what_it_is_told" in str(incident["stacks"])
    in_flight = incident["in_flight"]
    assert isinstance(in_flight, list)
    assert (in_flight[0]["method"], in_flight[0]["path"]) == ("GET", "/slow?\x1b[31m")
    assert 2.0 <= in_flight[0]["age_s"] < 20.0
    assert rig.door.answers == [(Ticket(8), 200, incident)]
    (hung,) = rig.log.named("worker.hung")
    assert (hung["incident"], hung["silent_s"], hung["stacks"]) == (incident["id"], 3.25, incident["stacks"])


def test_an_incident_says_how_old_its_list_of_requests_is(rig: Rig) -> None:
    rig.spawn()
    now = clock.now()
    rig.store(Figures(loop_beat_at=now - 100.0, thread_beat_at=now - 50.0), [])
    for kind in ("loop_blocked", "interpreter_held"):
        rig.executor.perform(RecordIncident(SLOT, kind, 3.25))
    by_thread, by_loop = (incident["in_flight_age_s"] for incident in rig.incidents)
    assert isinstance(by_thread, float)
    assert isinstance(by_loop, float)
    assert 50.0 <= by_thread < 100.0 <= by_loop


def test_stacks_asked_for_again_replace_the_old_ones_and_a_dump_is_no_hang(rig: Rig) -> None:
    rig.spawn()
    for _ in range(2):
        rig.executor.perform(RequestStacks(SLOT))
        rig.executor.perform(ServeWorker(SLOT))
        rig.hears()
        rig.executor.perform(RecordIncident(SLOT, "dump", 0.0))
    first, second = (str(incident["stacks"]) for incident in rig.incidents)
    assert second.count("most recent call first") == first.count("most recent call first") == 1
    assert (len(rig.log.named("worker.dumped")), rig.log.named("worker.hung")) == (2, [])


def test_an_incident_of_a_worker_that_is_gone_is_answered_and_not_made_up(rig: Rig) -> None:
    rig.executor.perform(RecordIncident(SLOT, "dump", 0.0, Ticket(3)))
    ((ticket, status, body),) = rig.door.answers
    assert (ticket, status) == (3, 409)
    assert "no process" in str(body["error"])
    assert len(rig.incidents) == 0


def test_a_configuration_read_again_is_prepared_with_its_terms_and_differences(rig: Rig) -> None:
    rig.config.write_text('workers = 3\ngraceful-timeout = "20s"\nname = "other"\n')
    rig.executor.perform(PrepareGeneration(Generation(2)))
    prepared = rig.told.expect(GenerationPrepared)
    assert (prepared.generation, prepared.terms.workers, prepared.terms.graceful_timeout) == (2, 3, 20.0)
    assert {(change.name, change.applies) for change in prepared.changes} == {
        ("workers", "reload"),
        ("graceful-timeout", "reload"),
        ("name", "restart"),
    }
    assert rig.generations[Generation(2)].settings.daemon.name == rig.resolved.settings.daemon.name
    in_force = {name: value for name, value, _ in rig.generations.rows()}
    assert (in_force["workers"], in_force["name"]) == ("3", rig.resolved.settings.daemon.name)


@pytest.mark.parametrize("text", ["workers = 0\n", "workers = [\n", "nonsense = 1\n", None])
def test_a_configuration_that_is_not_sound_is_refused_with_its_reason(rig: Rig, text: str | None) -> None:
    if text is None:
        rig.config.unlink()
    else:
        rig.config.write_text(text)
    rig.executor.perform(PrepareGeneration(Generation(2)))
    refused = rig.told.expect(GenerationRefused)
    assert refused.generation == 2
    assert refused.reason
    with pytest.raises(SpawnError, match="has no configuration"):
        rig.generations[Generation(2)]


def test_a_discarded_generation_is_not_compared_with_and_old_ones_are_forgotten(rig: Rig) -> None:
    rig.config.write_text("workers = 5\n")
    rig.executor.perform(PrepareGeneration(Generation(2)))
    rig.executor.perform(DiscardGeneration(Generation(2)))
    rig.told.expect(GenerationPrepared)
    rig.config.write_text("workers = 6\n")
    rig.executor.perform(PrepareGeneration(Generation(3)))
    workers = {change.name: change for change in rig.told.expect(GenerationPrepared).changes}["workers"]
    assert (workers.old, workers.new) == ("2", "6")
    rig.executor.perform(PrepareGeneration(Generation(4)))
    assert rig.told.expect(GenerationPrepared).changes == ()
    with pytest.raises(SpawnError, match="has no configuration"):
        rig.generations[Generation(1)]


def test_a_generation_with_living_workers_is_kept(rig: Rig) -> None:
    rig.spawn()
    for number in (2, 3, 4):
        rig.executor.perform(PrepareGeneration(Generation(number)))
    assert rig.generations[Generation(1)].settings == rig.resolved.settings


def test_closing_the_listeners_is_told_once(rig: Rig) -> None:
    (spec,) = rig.listeners.specs
    rig.executor.perform(CloseListeners())
    rig.executor.perform(CloseListeners())
    assert rig.log.named("socket.closed") == [{"addresses": [spec.address]}]


@pytest.mark.parametrize("spare_waiting", [False, True])
def test_a_listener_with_somebody_in_its_queue_is_closed_unless_he_is_to_be_spared(
    rig: Rig, spare_waiting: bool
) -> None:
    (spec,) = rig.listeners.specs
    host, _, port = spec.address.rpartition(":")
    with socket.create_connection((host, int(port)), timeout=GENEROUS_S):
        rig.executor.perform(CloseListeners(spare_waiting=spare_waiting))
    assert bool(rig.log.named("socket.closed")) is not spare_waiting


def test_reports_answers_and_progress_go_where_they_belong(rig: Rig) -> None:
    rig.executor.perform(Report("fleet.recovered", {"ready": 2, "target": 2}))
    rig.executor.perform(TellProgress(Ticket(1), {"phase": "canary"}))
    rig.executor.perform(Answer(Ticket(1), 202, {"accepted": True}))
    assert rig.log.named("fleet.recovered") == [{"ready": 2, "target": 2}]
    assert rig.door.steps == [(1, {"phase": "canary"})]
    assert rig.door.answers == [(1, 202, {"accepted": True})]


def test_a_refusal_without_a_fact_of_its_own_is_reported_and_raises_nothing(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: object, **__: object) -> None:
        raise OSError(24, "Too many open files")

    rig.spawn()
    monkeypatch.setattr(rig.scoreboard, "figures", fails)
    orders = [
        ObserveWorkers((SLOT,)),
        ObserveWorkers((SLOT,), memory=True),
        RecordIncident(SLOT, "dump", 0.0, Ticket(2)),
    ]
    for order in (*orders, ServeWorker(SLOT)):
        rig.executor.perform(order)
    rig.hears()
    monkeypatch.undo()
    ((ticket, status, body),) = rig.door.answers
    assert (ticket, status, body) == (2, 500, {"error": "[Errno 24] Too many open files"})
    failed = rig.log.named("order.failed")
    assert {fields["order"] for fields in failed} == {repr(order) for order in orders}
    assert all("Too many open files" in str(fields["error"]) for fields in failed)


def test_what_a_process_said_last_is_an_incident_when_it_is_reaped_already(rig: Rig) -> None:
    """It says what holds it and ends: both are heard in one turn, and its place is empty by then."""
    pid = rig.spawn()
    rig.executor.perform(KillWorker(SLOT))
    rig.told.expect(WorkerExited)
    rig.executor.perform(RecordIncident(SLOT, "exit_held", 0.0, stacks="Thread 1"))
    (incident,) = rig.incidents
    assert (incident["pid"], incident["stacks"]) == (pid, "Thread 1")
    rig.executor.perform(RecordIncident(SLOT, "loop_blocked", 1.0))
    assert len(rig.incidents) == 1, "of a process that is gone nothing can be looked up any more"
