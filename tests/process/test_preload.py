"""`--preload`: workers are forked from a process that has imported the application, and live like any others."""

from __future__ import annotations

import os
import platform
import re
import signal
from collections.abc import Mapping
from pathlib import Path

import psutil
import pytest

from tests.helpers.daemon import PID_APP, Daemon, running
from tests.helpers.deadline import GENEROUS_S

ON_X86 = pytest.mark.skipif(platform.machine() != "x86_64", reason="system calls have the numbers of x86-64 here")
WITH_THREAD = (
    PID_APP
    + """
import threading
threading.Thread(target=threading.Event().wait, name="poller", daemon=True).start()
"""
)
WITH_SOCKET = (
    PID_APP
    + """
import socket
LISTENER = socket.create_server(("127.0.0.1", 0))
"""
)
WITH_LOOP = (
    PID_APP
    + """
LOOP = asyncio.new_event_loop()
"""
)

OPENED = (
    PID_APP
    + """
import fcntl, sqlite3, subprocess
DATABASE = sqlite3.connect("shop.db")
DATABASE.execute("CREATE TABLE IF NOT EXISTS goods (name)")
LOCK = open("scheduler.lock", "w")
fcntl.flock(LOCK, fcntl.LOCK_SH)
CHILD = subprocess.Popen(["sleep", "600"])
"""
)
FOREIGN_THREAD = (
    PID_APP
    + """
import ctypes
READING, _ = os.pipe()
TOLD, TELLING = os.pipe()
def run(_):
    os.write(TELLING, str(__import__("threading").get_native_id()).encode())
    os.read(READING, 1)
BACK = ctypes.CFUNCTYPE(None, ctypes.c_void_p)(run)
ctypes.CDLL(None).pthread_create(ctypes.byref(ctypes.c_ulong()), None, BACK, None)
TASK = int(os.read(TOLD, 20))
while open(f"/proc/self/task/{TASK}/syscall").read().split()[:2] != ["0", hex(READING)]:
    pass
"""
)
"""A thread that libffi began, in the system call in which it stays."""


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    (tmp_path / "app.py").write_text(PID_APP)
    return tmp_path


def zygote_of(daemon: Daemon) -> int:
    told = daemon.status()["preload"]
    assert isinstance(told, dict)
    assert isinstance(told["pid"], int)
    return told["pid"]


def started(daemon: Daemon, workers: int = 2) -> Mapping[str, object]:
    """What was said of the zygote, once all workers are ready."""
    daemon.heard.expect("worker.ready", times=workers)
    (event,) = daemon.heard.expect("zygote.preloaded")
    roles = [(spawned["pid"], spawned["role"]) for spawned in daemon.heard.named("worker.spawned") if "role" in spawned]
    assert roles == [(event["pid"], "zygote")]
    return event


def test_workers_are_forked_and_are_the_masters_children(directory: Path) -> None:
    with running("--workers", "2", "--preload", directory=directory) as daemon:
        zygote = started(daemon)["pid"]
        workers = set(daemon.pids().values())
        assert zygote not in workers
        assert {psutil.Process(pid).ppid() for pid in workers} == {daemon.pid}
        assert int(daemon.get()[1].split()[0]) in workers
        assert zygote_of(daemon) == zygote
        text = daemon.ctl("status").stdout
        assert f"workers are forked from pid {zygote}, which " in text


def test_a_forked_worker_says_its_own_slot(directory: Path) -> None:
    (directory / "app.py").write_text(PID_APP.replace("{GENERATION}", "{os.environ['SUPERVISOR_D_SLOT']}"))
    with running("--workers", "2", "--preload", directory=directory) as daemon:
        started(daemon)
        slots = {str(pid): str(slot) for slot, pid in daemon.pids().items()}
        pid, slot = daemon.get()[1].split()
        assert slots[pid] == slot


def test_a_crashed_worker_is_forked_again_from_the_same_code(directory: Path) -> None:
    with running("--workers", "1", "--preload", directory=directory) as daemon:
        zygote = started(daemon, 1)["pid"]
        (directory / "app.py").write_text("import no_such_module\n")
        with daemon.listening() as heard:
            os.kill(daemon.pids()[1], signal.SIGKILL)
            heard.expect("worker.crashed", signal="SIGKILL")
            heard.expect("worker.ready")
        assert zygote_of(daemon) == zygote
        assert daemon.get()[0] == 200


def test_a_reload_loads_new_code_in_a_new_zygote_and_ends_the_old_one(directory: Path) -> None:
    with running("--workers", "2", "--preload", directory=directory) as daemon:
        first = started(daemon)["pid"]
        (directory / "app.py").write_text(PID_APP.replace("{GENERATION}", "new"))
        asked = daemon.ctl("reload")
        assert asked.returncode == 0, asked.stderr
        assert daemon.get()[1].split()[1] == "new"
        daemon.heard.expect("zygote.ended", generation=1, pid=first)
        assert zygote_of(daemon) != first


def test_a_bad_deploy_is_rolled_back_and_the_old_zygote_stays(directory: Path) -> None:
    with running("--workers", "2", "--preload", directory=directory) as daemon:
        zygote, before = started(daemon)["pid"], daemon.pids()
        (directory / "app.py").write_text("import no_such_module_anywhere\n")
        asked = daemon.ctl("reload")
        assert asked.returncode == 1
        assert "no_such_module_anywhere" in asked.stderr
        assert daemon.pids() == before
        assert zygote_of(daemon) == zygote


def test_the_first_boot_that_fails_ends_the_daemon_with_its_traceback(directory: Path) -> None:
    (directory / "app.py").write_text("raise LookupError('no configuration')\n")
    with running("--workers", "2", "--preload", directory=directory) as daemon:
        assert daemon.wait() == 3
        assert "LookupError: no configuration" in daemon.lines[-1]


@pytest.mark.parametrize(
    ("code", "offender"),
    [
        pytest.param(WITH_THREAD, "thread 'poller'", id="thread"),
        pytest.param(WITH_SOCKET, "a socket bound to ('127.0.0.1', ", id="socket"),
        pytest.param(WITH_LOOP, "an event loop (anon_inode:[eventpoll]", id="loop"),
        pytest.param(FOREIGN_THREAD, " of libffi.so", id="native thread", marks=ON_X86),
    ],
)
def test_what_cannot_be_forked_is_named_and_workers_are_started_each_by_itself(
    directory: Path, code: str, offender: str
) -> None:
    (directory / "app.py").write_text(code)
    with running("--workers", "2", "--preload", directory=directory) as daemon:
        daemon.heard.expect("worker.ready", times=2)
        (event,) = daemon.heard.expect("zygote.refused")
        assert offender in str(event["reason"])
        told = daemon.status()["preload"]
        assert isinstance(told, dict)
        assert told["pid"] is None
        assert offender in told["refusal"]
        assert daemon.get()[0] == 200


def test_a_database_a_lock_and_a_child_process_of_the_import_are_named(directory: Path) -> None:
    (directory / "app.py").write_text(OPENED)
    with running("--workers", "2", "--preload", directory=directory) as daemon:
        (event,) = daemon.heard.expect("zygote.refused")
        reason = str(event["reason"])
        assert f"an SQLite connection to {directory}/shop.db (descriptor " in reason
        assert f"a lock on {directory}/scheduler.lock (flock, descriptor " in reason
        assert "a child process, pid " in reason
        assert re.search(r"\(sleep( 600)?\)", reason)  # without its argument while it is executed
        daemon.heard.expect("worker.ready", times=2)


def test_a_pool_that_ends_before_forks_is_let_pass(directory: Path) -> None:
    """numpy's OpenBLAS: it computes in the workers, too."""
    pytest.importorskip("numpy")
    compute = "assert float((numpy.ones((600, 600)) @ numpy.ones((600, 600)))[0, 0]) == 600.0\n"
    (directory / "app.py").write_text(
        "import numpy\n" + PID_APP.replace("        await send", f"        {compute}        await send", 1) + compute
    )
    with running("--workers", "2", "--preload", directory=directory) as daemon:
        assert started(daemon)
        assert daemon.get()[0] == 200


def test_a_killed_zygote_is_followed_by_another_when_a_worker_is_needed(directory: Path) -> None:
    with running("--workers", "1", "--preload", directory=directory) as daemon:
        zygote = started(daemon, 1)["pid"]
        assert isinstance(zygote, int)
        os.kill(zygote, signal.SIGKILL)
        daemon.heard.expect("zygote.ended", pid=zygote, signal="SIGKILL")
        assert daemon.get()[0] == 200
        assert daemon.ctl("scale", "2").returncode == 0
        daemon.heard.expect("worker.ready", times=2)
        assert zygote_of(daemon) != zygote


def test_a_forked_worker_tells_its_own_stacks(directory: Path) -> None:
    with running("--workers", "1", "--preload", directory=directory) as daemon:
        started(daemon, 1)
        told = daemon.ctl("dump", "1")
        assert told.returncode == 0, told.stderr
        assert "in _serve" in told.stdout
        assert "in fork_on_order" not in told.stdout, "that is the zygote"


def test_a_stop_leaves_no_process_behind(directory: Path) -> None:
    with running("--workers", "2", "--preload", directory=directory) as daemon:
        zygote = started(daemon)["pid"]
        assert isinstance(zygote, int)
        everybody = [psutil.Process(pid) for pid in (zygote, *daemon.pids().values())]
        daemon.signal(signal.SIGTERM)
        assert daemon.wait() == 0
        gone, alive = psutil.wait_procs(everybody, timeout=GENEROUS_S)
        assert not alive
        assert len(gone) == 3


AT_EXIT = """
import atexit
IMPORTED_BY = os.getpid()
def note():
    with open("ended", "a") as file:
        file.write(f"{os.getpid()}\\n")
atexit.register(note)
"""


@pytest.mark.parametrize("group", [False, True], ids=["to the master", "to the group"])
def test_a_zygote_ends_in_order_and_after_its_workers(directory: Path, group: bool) -> None:
    """What the application registered for the exit of a process runs in all: some of it is for the last one only."""
    (directory / "app.py").write_text(PID_APP + AT_EXIT)
    with running("--workers", "2", "--preload", directory=directory) as daemon:
        zygote, workers = started(daemon)["pid"], set(daemon.pids().values())
        daemon.status()
        (os.killpg if group else os.kill)(daemon.pid, signal.SIGTERM)
        assert daemon.wait() == 0
        daemon.heard.expect("zygote.ended", pid=zygote, exit_code=0, signal=None)
        assert not daemon.heard.named("zygote.killed")
        *before, last = map(int, (directory / "ended").read_text().split())
        assert (set(before), last) == (workers, zygote)


def test_a_reload_ends_the_old_zygote_in_order(directory: Path) -> None:
    (directory / "app.py").write_text(PID_APP + AT_EXIT)
    with running("--workers", "1", "--preload", directory=directory) as daemon:
        zygote = started(daemon, 1)["pid"]
        assert daemon.ctl("reload").returncode == 0
        daemon.heard.expect("zygote.ended", pid=zygote, exit_code=0, signal=None)
        assert str(zygote) in (directory / "ended").read_text().split()


def test_a_zygote_that_does_not_end_is_killed_and_said(directory: Path) -> None:
    deaf = "import threading\natexit.register(lambda: os.getpid() == IMPORTED_BY and threading.Event().wait())\n"
    (directory / "app.py").write_text(PID_APP + AT_EXIT + deaf)
    with running("--workers", "2", "--preload", directory=directory) as daemon:
        zygote = started(daemon)["pid"]
        daemon.signal(signal.SIGTERM)
        assert daemon.wait() == 0
        assert daemon.heard.named("zygote.killed", pid=zygote)
        assert daemon.heard.named("zygote.ended", pid=zygote, signal="SIGKILL")


PATCHED = (
    """
import os, threading, time, _thread
_fork = os.fork
def fork():
    raise AssertionError("not in a process that was patched")
fork.__module__ = "green.os"
os.fork = fork
"""
    + PID_APP
)
"""As gevent.monkey.patch_all() does it, which is not installed everywhere."""
CHILDREN_IGNORED = PID_APP + "\nimport signal\nsignal.signal(signal.SIGCHLD, signal.SIG_IGN)\n"


@pytest.mark.parametrize(
    ("code", "offender"),
    [
        pytest.param(PATCHED, ".fork replaced by that of green.os", id="patched"),
        pytest.param(CHILDREN_IGNORED, "SIGCHLD ignored", id="SIGCHLD"),
    ],
)
def test_an_import_that_spoils_forks_is_named_and_leaves_no_orphan(directory: Path, code: str, offender: str) -> None:
    (directory / "app.py").write_text(code)
    with running("--workers", "2", "--preload", directory=directory) as daemon:
        (event,) = daemon.heard.expect("zygote.refused")
        assert offender in str(event["reason"])
        daemon.heard.expect("worker.ready", times=2)
        assert {child.pid for child in psutil.Process(daemon.pid).children()} == set(daemon.pids().values())
        assert daemon.get()[0] == 200
