"""Worker processes are spawned with what the contract says, signalled safely, and reaped after their last words."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Iterator

import pytest

from server_core.contract.spec import ListenerSpec, WorkerSpec
from server_core.settings.declaration import ServerSettings
from supervisor_d.errors import SpawnError
from supervisor_d.host.processes import process_table as module
from supervisor_d.host.processes.process_table import Child, ProcessTable, signal_name
from supervisor_d.host.reactor import Reactor
from supervisor_d.vocabulary import (
    RecycleRequested,
    Slot,
    WorkerDetached,
    WorkerExited,
    WorkerFailed,
    WorkerReady,
    WorkerSpawned,
)
from tests.helpers.facts import Told
from tests.helpers.logs import Remembered

PRELUDE = """
import json, os, signal, socket, sys
pipe = socket.socket(fileno=int(sys.argv[1]))
spec = json.loads(pipe.recv(131072).partition(b" ")[2])
def say(verb, **fields):
    pipe.send((verb + (" " + json.dumps(fields) if fields else "") + "\\n").encode())
"""
SLOT = Slot(3)


class PreforkFactory:
    """Children whose programs the test writes."""

    def __init__(self) -> None:
        self.reactor = Reactor()
        self.told = Told(self.reactor)
        self.log = Remembered()
        self.program = ""
        self.buried: list[tuple[int, int]] = []
        self.oom_killed = False
        environ = {**os.environ, "PYTHONPATH": os.getcwd()}
        self.children = ProcessTable(self.reactor, self.log, environ, self.before_exit_is_told, self.command)
        self.files = [os.memfd_create(name) for name in ("scoreboard", "stacks", "listener", "key")]

    def command(self, pipe_fd: int) -> list[str]:
        return [sys.executable, "-c", PRELUDE + self.program, str(pipe_fd)]

    def before_exit_is_told(self, child: Child, code: int) -> bool:
        self.buried.append((child.slot, code))
        return self.oom_killed

    def spawn(self, program: str, slot: int = SLOT) -> int:
        self.program = program
        self.children.spawn(self.spec(slot))
        return self.told.expect(WorkerSpawned).pid

    def spec(self, slot: int = SLOT, app: str = "main:app") -> WorkerSpec:
        return WorkerSpec(
            slot=slot,
            generation=5,
            name="test",
            listeners=(ListenerSpec(self.files[2], "127.0.0.1:1"),),
            record_fd=self.files[0],
            loads_fd=self.files[1],
            beat_s=1.0,
            watch_s=7.5,
            settings=ServerSettings(app=app),
            tls_fds=(self.files[3],),
        )

    def close(self) -> None:
        for child in self.children:
            self.children.signal(child.slot, signal.SIGKILL)
            self.told.expect(WorkerExited)
        for file in self.files:
            os.close(file)
        self.reactor.close()


@pytest.fixture
def prefork() -> Iterator[PreforkFactory]:
    made = PreforkFactory()
    yield made
    made.close()


@pytest.fixture
def without_pidfd(monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a system that has no pidfds: SIGCHLD, played here by the test, tells of exits."""

    def none(_: int) -> None:
        return None

    monkeypatch.setattr(module, "_open_pidfd", none)


def test_a_worker_is_told_its_spec_and_inherits_exactly_its_descriptors(prefork: PreforkFactory) -> None:
    prefork.spawn(
        """
here = sorted(fd for fd in map(int, os.listdir("/proc/self/fd")) if os.path.exists(f"/proc/self/fd/{fd}"))
named = (spec["record_fd"], spec["loads_fd"], spec["listeners"][0]["fd"], *spec["tls_fds"])
expected = sorted({0, 1, 2, pipe.fileno(), *named})
say("recycle", reason=json.dumps([here == expected, spec["slot"], spec["generation"], spec["settings"]["app"],
    os.readlink("/proc/self/fd/0")]))
signal.pause()
"""
    )
    reason = prefork.told.expect(RecycleRequested).reason
    assert reason == '[true, 3, 5, "main:app", "/dev/null"]'


def test_a_signal_that_comes_before_the_handlers_waits_for_them(prefork: PreforkFactory) -> None:
    before = signal.pthread_sigmask(signal.SIG_BLOCK, ())
    pid = prefork.spawn(
        """
while signal.SIGTERM not in signal.sigpending(): pass
say("recycle", reason=str(len(signal.pthread_sigmask(signal.SIG_BLOCK, ()))))
signal.signal(signal.SIGTERM, lambda *_: sys.exit(7))
signal.pthread_sigmask(signal.SIG_SETMASK, ())
signal.pause()
"""
    )
    prefork.children.signal(SLOT, signal.SIGTERM)
    blocked = int(prefork.told.expect(RecycleRequested).reason)
    assert blocked >= len(signal.valid_signals()) - 2, "all but SIGKILL and SIGSTOP"
    assert prefork.told.expect(WorkerExited) == WorkerExited(SLOT, pid, 7, None)
    assert signal.pthread_sigmask(signal.SIG_BLOCK, ()) == before, "the master's own mask is as it was"


def test_last_words_come_before_the_exit_and_no_detachment_between(prefork: PreforkFactory) -> None:
    pid = prefork.spawn('say("failed", stage="import", traceback="why"); sys.exit(3)')
    exited = prefork.told.expect(WorkerExited)
    assert exited == WorkerExited(SLOT, pid, 3, None)
    assert prefork.told.kinds() == ["WorkerSpawned", "WorkerFailed", "WorkerExited"]
    assert next(fact for fact in prefork.told.facts if isinstance(fact, WorkerFailed)).traceback == "why"
    assert prefork.buried == [(SLOT, 3)]


@pytest.mark.usefixtures("without_pidfd")
def test_without_pidfds_sigchld_brings_the_same_facts(prefork: PreforkFactory) -> None:
    pid = prefork.spawn('say("ready"); signal.pause()')
    prefork.told.expect(WorkerReady)
    prefork.children.signal(SLOT, signal.SIGKILL)
    os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
    prefork.children.reap_all()
    assert prefork.told.expect(WorkerExited) == WorkerExited(SLOT, pid, None, "SIGKILL")


def test_a_death_by_signal_is_told_by_name(prefork: PreforkFactory) -> None:
    prefork.oom_killed = True
    pid = prefork.spawn(
        "signal.pthread_sigmask(signal.SIG_SETMASK, ()); os.kill(os.getpid(), signal.SIGRTMIN + 3); signal.pause()"
    )
    assert prefork.told.expect(WorkerExited) == WorkerExited(SLOT, pid, None, "SIGRTMIN+3", oom_killed=True)
    assert prefork.buried == [(SLOT, -(signal.SIGRTMIN + 3))]


@pytest.mark.parametrize(
    ("number", "name"),
    [(9, "SIGKILL"), (signal.SIGRTMIN, "SIGRTMIN"), (signal.SIGRTMIN + 1, "SIGRTMIN+1"), (33, "signal 33")],
)
def test_signals_have_names(number: int, name: str) -> None:
    assert signal_name(number) == name


def test_a_pipe_closed_by_a_living_worker_is_told(prefork: PreforkFactory) -> None:
    prefork.spawn("pipe.close(); signal.pause()")
    assert prefork.told.expect(WorkerDetached).slot == SLOT


def test_a_slot_that_is_taken_is_refused_and_keeps_its_process(prefork: PreforkFactory) -> None:
    pid = prefork.spawn("signal.pause()")
    with pytest.raises(SpawnError, match=f"slot 3 still holds process {pid}"):
        prefork.children.spawn(prefork.spec())
    assert prefork.children[SLOT].pid == pid


def test_settings_that_no_worker_could_read_are_refused_before_there_is_a_process(prefork: PreforkFactory) -> None:
    with pytest.raises(SpawnError, match="more than the 131072"):
        prefork.children.spawn(prefork.spec(app="a" * 131072))
    assert list(prefork.children) == []


def test_a_failed_spawn_leaves_no_descriptor_behind(
    prefork: PreforkFactory, monkeypatch: pytest.MonkeyPatch, tmp_path: object
) -> None:
    monkeypatch.setattr(sys, "executable", f"{tmp_path}/not-there")
    before = os.listdir("/proc/self/fd")
    with pytest.raises(FileNotFoundError):
        prefork.children.spawn(prefork.spec())
    assert os.listdir("/proc/self/fd") == before


def test_a_slot_can_be_filled_again_after_its_exit_was_told(prefork: PreforkFactory) -> None:
    first = prefork.spawn("")
    prefork.told.expect(WorkerExited)
    second = prefork.spawn('say("ready"); signal.pause()')
    assert prefork.told.expect(WorkerReady).slot == SLOT
    assert first != second


def test_signalling_an_empty_slot_or_a_zombie_is_nothing(prefork: PreforkFactory) -> None:
    prefork.children.signal(Slot(9), signal.SIGTERM)
    pid = prefork.spawn("")
    os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
    prefork.children.signal(SLOT, signal.SIGTERM)
    assert prefork.told.expect(WorkerExited).exit_code == 0


def test_strangers_are_reaped_and_reported_and_workers_are_not_taken_for_them(prefork: PreforkFactory) -> None:
    worker = prefork.spawn("")
    stranger = os.posix_spawn("/bin/sh", ["sh", "-c", "exit 9"], os.environ)
    os.waitid(os.P_PID, stranger, os.WEXITED | os.WNOWAIT)
    os.waitid(os.P_PID, worker, os.WEXITED | os.WNOWAIT)
    prefork.children.reap_all()
    assert prefork.log.named("process.reaped") == [{"pid": stranger, "exit_code": 9, "signal": None}]
    assert prefork.told.expect(WorkerExited).pid == worker
    with pytest.raises(ChildProcessError):
        os.waitpid(stranger, os.WNOHANG)


def test_a_kill_of_ours_is_known_as_ours(prefork: PreforkFactory) -> None:
    prefork.spawn("signal.pause()")
    child = prefork.children[SLOT]
    assert not child.is_kill_ordered
    prefork.children.signal(SLOT, signal.SIGKILL)
    assert child.is_kill_ordered


def test_an_abandoned_worker_finds_its_pipe_closed(prefork: PreforkFactory) -> None:
    pid = prefork.spawn('say("ready"); assert pipe.recv(10) == b""; sys.exit(4)')
    prefork.told.expect(WorkerReady)
    prefork.children.abandon()
    assert list(prefork.children) == []
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 4


def test_many_workers_come_and_go_without_leaving_descriptors(
    prefork: PreforkFactory, check_open: Callable[[], int]
) -> None:
    before = check_open()
    for slot in range(1, 6):
        pid = prefork.spawn('say("ready")', slot)
        os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)  # the next one's birth is told after this one's end
    for _ in range(5):
        prefork.told.expect(WorkerExited)
    assert check_open() == before


@pytest.fixture
def check_open() -> Callable[[], int]:
    return lambda: len(os.listdir("/proc/self/fd"))
