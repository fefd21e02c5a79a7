"""Threads that are not ours, of an agent that begins with the interpreter: no signal is lost to one, none kills."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import psutil
import pytest

from tests.helpers.container import master_of, obstacle
from tests.helpers.daemon import PID_APP, REPOSITORY, Daemon, environment, running

AGENT: Final = """
import signal, threading

def idle():
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    UNBLOCKED.set()
    threading.Event().wait()

UNBLOCKED = threading.Event()
threading.Thread(target=idle, name="agent", daemon=True).start()
UNBLOCKED.wait()
"""
"""A thread that blocks no signal, as those of native libraries do; Python's have the mask of whoever starts them."""

SIGNAL_AT_IMPORT: Final = """
import os, signal, sys

class Finder:
    @staticmethod
    def find_spec(name, path=None, target=None):
        if name == "{name}":
            os.kill(os.getpid(), signal.SIGHUP)
            os.kill(os.getpid(), signal.SIGTERM)

sys.meta_path.insert(0, Finder)
"""

PID_1: Final = ("unshare", "--pid", "--fork", "--kill-child", "--mount-proc")
TOLD: Final = {"SIGTERM", "SIGINT", "SIGQUIT", "SIGHUP", "SIGTTIN", "SIGTTOU", "SIGUSR1", "SIGUSR2"}
ENDING: Final = ("SIGTERM", "SIGINT", "SIGQUIT")
UNHEEDED: Final = ("SIGHUP", "SIGINT", "SIGQUIT", "SIGUSR1", "SIGUSR2", "SIGTTIN", "SIGTTOU")


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    (tmp_path / "app.py").write_text(PID_APP)
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "sitecustomize.py").write_text(AGENT)
    return tmp_path


def agents(directory: Path) -> dict[str, str]:
    """An environment in which each interpreter has an agent."""
    return {"PYTHONPATH": f"{directory / 'site'}:{REPOSITORY}", "PYTHONDONTWRITEBYTECODE": "1"}


def command_of(pid_1: bool) -> Sequence[str]:
    if pid_1 and (reason := obstacle(has_users=False)):
        pytest.skip(reason)
    return PID_1 if pid_1 else ()


@pytest.mark.parametrize("pid_1", [pytest.param(False, id="daemon"), pytest.param(True, id="PID-1")])
@pytest.mark.parametrize("last", ENDING)
def test_the_master_acts_on_every_signal(directory: Path, last: str, pid_1: bool) -> None:
    with running(directory=directory, env=agents(directory), command=command_of(pid_1)) as daemon:
        (started,) = daemon.heard.expect("master.started")
        daemon.heard.expect("worker.ready")
        master = master_of(daemon.pid) if pid_1 else psutil.Process(daemon.pid)
        assert (started["pid"] == 1) is pid_1
        assert master.num_threads() > 1
        for name in sorted(TOLD - set(ENDING)):
            with daemon.listening() as heard:
                master.send_signal(signal.Signals[name])
                heard.expect("signal.received", signal=name)
        daemon.heard.expect("reload.committed")
        with daemon.listening() as heard:
            master.send_signal(signal.Signals[last])
            assert daemon.wait() == 0, daemon.transcript()
            assert len(heard.named("signal.received", signal=last)) == 1
            heard.expect("stop.requested", fast=last == "SIGQUIT")


@pytest.mark.parametrize("has_agent", [True, False], ids=["agent", "alone"])
@pytest.mark.parametrize("pid_1", [pytest.param(False, id="daemon"), pytest.param(True, id="PID-1")])
def test_what_comes_while_it_is_being_imported_is_kept(directory: Path, pid_1: bool, has_agent: bool) -> None:
    """Of PID 1 the kernel would drop it, and another would end of it."""
    early = (AGENT if has_agent else "") + SIGNAL_AT_IMPORT.format(name="supervisor_d.cli.program")
    (directory / "site" / "sitecustomize.py").write_text(early)
    with running(directory=directory, env=agents(directory), command=command_of(pid_1)) as daemon:
        daemon.heard.expect("signal.received", signal="SIGTERM")
        daemon.heard.expect("signal.received", signal="SIGHUP")
        assert daemon.wait() == 0, daemon.transcript()


def test_a_signal_that_this_thread_gets_still_has_its_sender(directory: Path) -> None:
    with running(directory=directory) as daemon:
        daemon.heard.expect("worker.ready")
        daemon.signal(signal.SIGUSR1)
        (received,) = daemon.heard.expect("signal.received")
        assert (received["sender_pid"], received["sender_uid"]) == (os.getpid(), os.getuid())


@pytest.mark.parametrize("flags", [[], ["--no-template"], ["--preload"]], ids=["template", "none", "preload"])
def test_a_worker_heeds_term_and_no_other_signal(directory: Path, flags: list[str]) -> None:
    with running("--workers", "2", *flags, directory=directory, env=agents(directory)) as daemon:
        daemon.heard.expect("worker.ready", times=2)
        worker = psutil.Process(daemon.pids()[1])
        assert worker.num_threads() > 2, "no agent"
        for name in UNHEEDED:
            worker.send_signal(signal.Signals[name])
        worker.send_signal(signal.SIGTERM)
        daemon.heard.expect("worker.ready", times=3)
        ends = [event for event in daemon.events if event.get("pid") == worker.pid and "exit_code" in event]
        assert [event["signal"] for event in ends if "signal" in event] in ([], [None]), daemon.transcript()
        assert daemon.get()[0] == 200


@pytest.mark.parametrize("name", UNHEEDED)
def test_a_worker_that_begins_heeds_no_signal_but_term(directory: Path, name: str) -> None:
    """One that comes while the server is being imported."""
    early = SIGNAL_AT_IMPORT.format(name="server_core.worker.bootstrap").replace("SIGTERM", name)
    (directory / "site" / "sitecustomize.py").write_text(AGENT + early)
    with running(directory=directory, env=agents(directory)) as daemon:
        (ready,) = daemon.heard.expect("worker.ready")
        (spawned,) = daemon.heard.named("worker.spawned")
        assert ready["pid"] == spawned["pid"]


def test_a_worker_that_begins_ends_of_term_in_good_order(directory: Path) -> None:
    (directory / "site" / "sitecustomize.py").write_text(
        AGENT + SIGNAL_AT_IMPORT.format(name="server_core.worker.bootstrap")
    )
    with running(directory=directory, env=agents(directory)) as daemon:
        assert daemon.wait() == 3
        (crashed,) = daemon.heard.expect("worker.crashed")
        assert (crashed["exit_code"], crashed["signal"]) == (0, None)


def test_a_worker_that_is_importing_heeds_no_signal_but_term(directory: Path) -> None:
    fifo = directory / "gate"
    os.mkfifo(fifo)
    (directory / "app.py").write_text(PID_APP + f"\nopen({str(fifo)!r}).read()\n")
    with running(directory=directory, env=agents(directory)) as daemon:
        writing = os.open(fifo, os.O_WRONLY)  # returns once the application is being imported
        worker = psutil.Process(daemon.pids()[1])
        for name in UNHEEDED:
            worker.send_signal(signal.Signals[name])
        os.close(writing)
        daemon.heard.expect("worker.ready", pid=worker.pid)
        assert daemon.get()[1].split()[0] == str(worker.pid)


CALLER: Final = """
import os, signal, sys, threading
import supervisor_d

def told(number, frame):
    print("caller's", number, flush=True)

{agent}
signal.signal(signal.SIGTERM, told)
signal.signal(signal.SIGHUP, signal.SIG_IGN)
before = [signal.getsignal(number) for number in range(1, 32)], signal.pthread_sigmask(signal.SIG_BLOCK, ())
descriptors = set(os.listdir("/proc/self/fd"))
supervisor_d.run("app:app", bind="127.0.0.1:0", control_socket="off", log_format="json")
after = [signal.getsignal(number) for number in range(1, 32)], signal.pthread_sigmask(signal.SIG_BLOCK, ())
assert before == after, (before, after)
assert signal.set_wakeup_fd(-1) == -1
os.kill(os.getpid(), signal.SIGHUP)
os.kill(os.getpid(), signal.SIGTERM)
"""


@pytest.mark.parametrize("agent", ["", AGENT], ids=["alone", "with an agent"])
def test_a_python_call_hands_the_signals_back(directory: Path, agent: str) -> None:
    script = directory / "serve.py"
    script.write_text(CALLER.format(agent=agent))
    process = subprocess.Popen(
        [sys.executable, str(script)], cwd=directory, env=environment(), text=True, bufsize=1,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True,
    )  # fmt: skip
    daemon = Daemon(process, "off")  # type: ignore[arg-type]  # reads the descriptor, not the text
    try:
        daemon.heard.expect("worker.ready")
        daemon.signal(signal.SIGHUP)
        daemon.heard.expect("reload.committed")
        daemon.signal(signal.SIGTERM)
        assert daemon.wait() == 0, daemon.transcript()
        assert process.stdout is not None
        with process.stdout as printed:
            assert printed.read() == f"caller's {int(signal.SIGTERM)}\n"
    finally:
        daemon.close()


def test_a_python_call_in_another_thread_is_refused_by_name(directory: Path) -> None:
    code = (
        "import threading, supervisor_d\n"
        "thread = threading.Thread(target=supervisor_d.run, args=['app:app'], name='server')\n"
        "thread.start(); thread.join()\n"
    )
    told = subprocess.run(
        [sys.executable, "-c", code], cwd=directory, env=environment(), capture_output=True, text=True, check=False
    )
    assert "run: must be called in the main thread" in told.stderr
    assert "'server'" in told.stderr
