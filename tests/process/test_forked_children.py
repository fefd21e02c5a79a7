"""Processes that an application forks: none of them is a worker, and none is left behind unasked."""

from __future__ import annotations

import json
import os
import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import psutil
import pytest

from tests.helpers.daemon import Daemon, running

APP: Final = "tests.apps.forking:app"
WAYS: Final = ("--template", "--preload", "--no-template")
LOOPS: Final = ("uvloop", "asyncio")
WHERES: Final = ("thread", "loop")
PYTHON_CATCHES: Final = {signal.SIGINT}
PYTHON_IGNORES: Final = {signal.SIGPIPE, signal.SIGXFSZ}
"""What every Python process begins with (Python documentation, signal, "General rules")."""


def signals(mask: int) -> set[int]:
    """The signals of a mask, but those that the C library keeps for itself (nptl(7))."""
    return {number for number in signal.valid_signals() if mask & (1 << (number - 1))}


def connections() -> set[str]:
    """Every TCP socket, and every SEQPACKET one, as descriptors name it: listeners, clients, pipes to masters."""
    found = {line.split()[9] for line in Path("/proc/net/tcp").read_text().splitlines()[1:]}
    for line in Path("/proc/net/unix").read_text().splitlines()[1:]:
        fields = line.split()
        if fields[4] == "0005":
            found.add(fields[6])
    return {f"socket:[{inode}]" for inode in found}


@contextmanager
def serving(*flags: str) -> Iterator[Daemon]:
    with running(*flags, app=APP) as daemon:
        daemon.heard.expect("worker.ready", times=2 if "2" in flags else 1)
        yield daemon


def ask(daemon: Daemon, path: str) -> str:
    status, body = daemon.get(path)
    assert status == 200, daemon.transcript()
    return body


@pytest.mark.parametrize("what", ["process", "executor", "fork", "child-of-child", "daemonised"])
@pytest.mark.parametrize("where", WHERES)
@pytest.mark.parametrize("loop", LOOPS)
def test_a_forked_process_has_nothing_of_its_worker(loop: str, where: str, what: str) -> None:
    with serving("--workers", "2", "--loop", loop) as daemon:
        told = json.loads(ask(daemon, f"/{where}/{what}"))
        assert told["pid"] not in daemon.pids().values()
        assert signals(told["SigCgt"]) == PYTHON_CATCHES
        assert signals(told["SigIgn"]) == PYTHON_IGNORES
        assert signals(told["SigBlk"]) == set()
        assert told["wakeup"] == -1
        assert not connections().intersection(told["files"])
        assert not [name for name in (*told["files"], *told["shared"]) if "memfd" in name]
        assert told["watched"] == []
        assert daemon.get("/loop/pid")[0] == 200


@pytest.mark.parametrize("way", WAYS)
def test_however_its_worker_came_to_be(way: str) -> None:
    with serving("--workers", "2", way) as daemon:
        told = json.loads(ask(daemon, "/thread/process"))
        assert signals(told["SigCgt"]) == PYTHON_CATCHES
        assert not connections().intersection(told["files"])


@pytest.mark.parametrize("where", WHERES)
@pytest.mark.parametrize("loop", LOOPS)
def test_terminate_ends_the_child_and_not_the_worker(loop: str, where: str) -> None:
    with serving("--loop", loop) as daemon:
        worker = ask(daemon, "/loop/pid")
        for _ in range(10):
            assert ask(daemon, f"/{where}/terminate") == str(-signal.SIGTERM)
        assert ask(daemon, "/loop/pid") == worker
        assert not daemon.heard.named("worker.recycled")


@pytest.mark.parametrize("where", WHERES)
@pytest.mark.parametrize("loop", LOOPS)
def test_a_pool_ends(loop: str, where: str) -> None:
    with serving("--loop", loop) as daemon:
        worker = ask(daemon, "/loop/pid")
        for _ in range(5):
            assert ask(daemon, f"/{where}/pool") == "55"
        assert ask(daemon, "/loop/pid") == worker


@pytest.mark.parametrize("loop", LOOPS)
def test_daemon_children_end_with_their_worker_and_do_not_delay_it(loop: str) -> None:
    with serving("--loop", loop) as daemon:
        child = psutil.Process(int(ask(daemon, "/thread/daemon")))
        daemon.signal(signal.SIGTERM)
        assert daemon.wait() == 0
        assert not daemon.heard.named("worker.terminated")
        assert not child.is_running()


@pytest.mark.parametrize("what", ["survive", "unseen"])
def test_a_child_that_lives_on_does_not_hold_the_port(what: str) -> None:
    with serving() as daemon:
        child = psutil.Process(int(ask(daemon, f"/thread/{what}")))
        address = daemon.address()
        daemon.signal(signal.SIGTERM)
        assert daemon.wait() == 0
        try:
            assert child.is_running()
            with pytest.raises(ConnectionRefusedError):
                socket.create_connection(address)
            with running("--bind", f"{address[0]}:{address[1]}", app=APP, bind=None) as next_one:
                next_one.heard.expect("worker.ready")
        finally:
            child.kill()


@pytest.mark.parametrize("loop", LOOPS)
def test_a_child_that_comes_back_to_the_event_loop_is_ended_and_said(loop: str) -> None:
    with serving("--loop", loop) as daemon:
        worker = int(ask(daemon, "/loop/pid"))
        child = int(ask(daemon, "/loop/come-back"))
        daemon.heard.expect("fork.returned", pid=child, worker_pid=worker)
        for _ in range(20):
            assert ask(daemon, "/loop/pid") == str(worker)


WSGI = """
import os

def app(environ, start_response):
    start_response("200 OK", [])
    if environ["PATH_INFO"] == "/pid":
        return [b"%d" % os.getpid()]
    if environ["PATH_INFO"] == "/raises":
        child = os.fork()
        if child == 0:
            raise ValueError("in the child")
        return [b"%d" % child]
    return [b"%d" % os.fork()] if environ["PATH_INFO"] == "/returns" else parts()

def parts():
    yield b""
    child = os.fork()
    yield b"%d" % child
"""


@pytest.mark.parametrize("threads", ["1", "4"])
@pytest.mark.parametrize("way", ["returns", "raises", "yields"])
def test_a_child_that_comes_back_from_a_wsgi_application_is_ended_and_said(
    threads: str, way: str, tmp_path: Path
) -> None:
    (tmp_path / "app.py").write_text(WSGI)
    with running("--threads", threads, "--workers", "1", directory=tmp_path) as daemon:
        daemon.heard.expect("worker.ready")
        worker = int(ask(daemon, "/pid"))
        child = int(ask(daemon, f"/{way}"))
        daemon.heard.expect("fork.returned", pid=child, worker_pid=worker)
        for _ in range(20):
            assert ask(daemon, "/pid") == str(worker)
        daemon.signal(signal.SIGTERM)
        assert daemon.wait() == 0
        assert "Traceback" not in daemon.transcript()


def test_a_program_has_no_descriptor_of_its_worker() -> None:
    with serving() as daemon:
        listing = ask(daemon, "/thread/program")
        assert not [name for name in connections() if name in listing]
        assert "memfd" not in listing


@pytest.mark.parametrize("way", WAYS)
def test_what_a_killed_worker_leaves_is_ended_and_said(way: str) -> None:
    with serving("--workers", "2", way) as daemon:
        child = psutil.Process(int(ask(daemon, "/thread/daemon")))
        worker, name = child.ppid(), child.name()
        os.kill(worker, signal.SIGKILL)
        (told,) = daemon.heard.expect("process.terminated", pid=child.pid, worker_pid=worker)
        assert told["name"] == name
        daemon.heard.expect("process.reaped", pid=child.pid, signal="SIGTERM")
        daemon.heard.expect("worker.ready", times=3)
        assert not daemon.heard.named("process.killed")


def test_a_single_worker_s_too() -> None:
    with serving("--workers", "1") as daemon:
        child = int(ask(daemon, "/thread/stay"))
        os.kill(daemon.pids()[1], signal.SIGKILL)
        daemon.heard.expect("process.terminated", pid=child)
        daemon.heard.expect("process.reaped", pid=child, signal="SIGTERM")


def test_what_ignores_sigterm_is_killed_with_its_children() -> None:
    with serving("--workers", "2") as daemon:
        child = psutil.Process(int(ask(daemon, "/thread/stubborn")))
        pids = {child.pid, *(each.pid for each in child.children())}
        assert len(pids) == 2
        os.kill(child.ppid(), signal.SIGKILL)
        daemon.heard.expect("process.killed", times=2)
        daemon.heard.expect("process.reaped", signal="SIGKILL", times=2)
        assert {told["pid"] for told in daemon.heard.named("process.killed")} == pids


def test_what_has_a_session_of_its_own_is_let_alone_and_said() -> None:
    with serving("--workers", "2") as daemon:
        child = psutil.Process(int(ask(daemon, "/thread/survive")))
        try:
            os.kill(child.ppid(), signal.SIGKILL)
            (told,) = daemon.heard.expect("process.spared", pid=child.pid)
            assert told["reason"] == "it has a session of its own"
            daemon.signal(signal.SIGTERM)
            assert daemon.wait() == 0
            assert child.is_running()
        finally:
            child.kill()


def pidfds(pid: int) -> int:
    """How many processes this one holds; some are named pidfd:[inode], since Linux 6.9 (pidfd_open(2))."""
    return sum("pidfd" in os.readlink(entry) for entry in Path(f"/proc/{pid}/fd").iterdir())


def test_what_is_let_alone_costs_the_master_no_descriptor_and_is_said_once() -> None:
    with serving("--workers", "1") as daemon:
        left = [psutil.Process(int(ask(daemon, "/thread/survive"))) for _ in range(5)]
        try:
            before = pidfds(daemon.pid)
            for times in (2, 3):
                assert daemon.ctl("restart", str(*daemon.pids())).returncode == 0
                daemon.heard.expect("worker.ready", times=times)
            daemon.heard.expect("worker.exited", times=2)
            assert sorted(told["pid"] for told in daemon.heard.named("process.spared")) == sorted(p.pid for p in left)
            assert pidfds(daemon.pid) == before
        finally:
            for process in left:
                process.kill()


def test_what_was_there_before_the_daemon_is_let_alone() -> None:
    entrypoint = ("sh", "-c", 'sleep 100000 & exec "$@"', "sh")
    with running("--workers", "2", app=APP, command=entrypoint) as daemon:
        daemon.heard.expect("worker.ready", times=2)
        (sidecar,) = (each for each in psutil.Process(daemon.pid).children() if each.name() == "sleep")
        try:
            left = int(ask(daemon, "/thread/stay"))
            os.kill(psutil.Process(left).ppid(), signal.SIGKILL)
            daemon.heard.expect("process.reaped", pid=left)
            assert not daemon.heard.named("process.terminated", pid=sidecar.pid), daemon.transcript()
            assert not daemon.heard.named("process.spared", pid=sidecar.pid)
            daemon.signal(signal.SIGTERM)
            assert daemon.wait() == 0
            assert sidecar.is_running()
        finally:
            sidecar.kill()


def test_a_living_worker_s_program_is_let_alone_until_that_worker_fails() -> None:
    with serving("--workers", "2") as daemon:
        program, worker = map(int, ask(daemon, "/thread/background").split())
        other = next(pid for pid in daemon.pids().values() if pid != worker)
        os.kill(other, signal.SIGKILL)
        daemon.heard.expect("worker.ready", times=3)
        assert not daemon.heard.named("process.terminated", pid=program), daemon.transcript()
        os.kill(worker, signal.SIGKILL)
        daemon.heard.expect("process.terminated", pid=program, worker_pid=worker)
        daemon.heard.expect("process.reaped", pid=program, signal="SIGTERM")


@pytest.mark.parametrize("way", WAYS)
def test_a_daemon_in_a_daemon_knows_its_own_slots(way: str) -> None:
    with running("--workers", "2", way, app=APP, env={"SUPERVISOR_D_SLOT": "1"}) as daemon:
        daemon.heard.expect("worker.ready", times=2)
        first, second = daemon.pids()[1], daemon.pids()[2]
        os.kill(first, signal.SIGSTOP)  # so that the other one accepts
        child = int(ask(daemon, "/thread/stay"))
        os.kill(first, signal.SIGCONT)
        os.kill(second, signal.SIGKILL)
        daemon.heard.expect("process.terminated", pid=child, worker_pid=second)


def test_what_a_worker_leaves_that_ends_in_order_is_let_alone_and_said() -> None:
    with serving("--workers", "2") as daemon:
        child = psutil.Process(int(ask(daemon, "/thread/stay")))
        slot = next(slot for slot, pid in daemon.pids().items() if pid == child.ppid())
        assert daemon.ctl("restart", str(slot)).returncode == 0
        (told,) = daemon.heard.expect("process.spared", pid=child.pid)
        assert told["reason"] == "its worker ended in order"
        assert child.is_running()


def test_a_stop_waits_for_what_killed_workers_left() -> None:
    with serving("--workers", "2") as daemon:
        child = psutil.Process(int(ask(daemon, "/thread/stubborn")))
        os.kill(child.ppid(), signal.SIGKILL)
        daemon.heard.expect("process.terminated", pid=child.pid)
        daemon.signal(signal.SIGQUIT)
        assert daemon.wait() == 0
        assert daemon.heard.named("process.killed", pid=child.pid)
        assert not child.is_running() or child.status() == psutil.STATUS_ZOMBIE
