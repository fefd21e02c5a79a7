"""The stop of a real daemon whose clients would stay for ever."""

from __future__ import annotations

import contextlib
import errno
import http.client
import os
import platform
import signal
import socket
import sys
from pathlib import Path

import pytest

from server_core.runtime.standstill import CALLS
from tests.helpers.daemon import DEADLINE_S, PID_APP, running

ENDLESS = """
import asyncio
async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        {lifespan}
    await send({{"type": "http.response.start", "status": 200, "headers": []}})
    await send({{"type": "http.response.body", "body": b"first\\n", "more_body": True}})
    try:
        await asyncio.Event().wait()
    finally:
        await asyncio.sleep(0.2)
"""
NONE = "raise ValueError('no lifespan')"
ONE = """
        await receive()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await send({"type": "lifespan.shutdown.complete"})
        return
"""


@pytest.mark.parametrize("lifespan", [NONE, ONE], ids=["without a lifespan", "with one"])
def test_an_endless_response_is_given_up_within_the_budget_and_cleans_up(tmp_path: Path, lifespan: str) -> None:
    (tmp_path / "app.py").write_text(ENDLESS.format(lifespan=lifespan.strip()))
    flags = ("--workers", "1", "--graceful-timeout", "3s", "--app-dir", str(tmp_path))
    with running(*flags) as daemon:
        daemon.heard.expect("worker.ready")
        client = http.client.HTTPConnection(*daemon.address(), timeout=DEADLINE_S)
        client.request("GET", "/")
        response = client.getresponse()
        assert response.readline() == b"first\n"
        daemon.signal(signal.SIGTERM)
        assert daemon.wait() == 0
        client.close()
        names = daemon.heard.names()
        assert "worker.exited" in names
        assert not {"worker.hung", "worker.terminated", "worker.killed"} & set(names), daemon.transcript()


def test_a_hung_worker_does_not_keep_late_clients_waiting(tmp_path: Path) -> None:
    flags = ("--workers", "2", "--graceful-timeout", "60s")
    (tmp_path / "app.py").write_text(PID_APP)
    with running(*flags, directory=tmp_path) as daemon:
        ready = daemon.heard.expect("worker.ready", times=2)
        address, stopped = daemon.address(), int(str(ready[0]["pid"]))
        os.kill(stopped, signal.SIGSTOP)
        daemon.signal(signal.SIGTERM)
        daemon.heard.expect("socket.closed")
        os.kill(stopped, 0)
        with socket.socket() as late:
            late.settimeout(DEADLINE_S)
            assert late.connect_ex(address) == errno.ECONNREFUSED
        daemon.signal(signal.SIGQUIT)
        assert daemon.wait() == 0
        assert daemon.heard.named("worker.killed", pid=stopped)


LIFESPAN = """
import asyncio, atexit, os, pathlib, threading, time
async def app(scope, receive, send):
    assert scope["type"] == "lifespan"
    await receive()
    {start}
    await send({{"type": "lifespan.startup.complete"}})
    await receive()
    {stop}
    await send({{"type": "lifespan.shutdown.complete"}})
atexit.register(lambda: pathlib.Path("left").write_text("in order"))
async def stubborn():
    while True:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            pass
"""


def test_a_lifespan_shutdown_that_blocks_has_the_rest_of_the_budget(tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text(LIFESPAN.format(start="", stop="time.sleep(4)"))
    flags = ("--workers", "1", "--timeout", "1s", "--graceful-timeout", "60s")
    with running(*flags, directory=tmp_path) as daemon:
        daemon.heard.expect("worker.ready")
        daemon.signal(signal.SIGTERM)
        assert daemon.wait() == 0
        assert daemon.heard.named("worker.drained") or daemon.heard.named("worker.exited", cause="exited")
        assert not {"worker.suspected", "worker.hung", "worker.killed"} & set(daemon.heard.names())


HOLDING = {
    "thread": ("threading.Thread(target=threading.Event().wait, name='consumer').start()", "consumer"),
    "executor": ("asyncio.get_running_loop().run_in_executor(None, threading.Event().wait)", "_0"),
    "many": ("[threading.Thread(target=threading.Event().wait, name='п' * 400).start() for _ in range(100)]", "ппп"),
    "task": ("globals().update(task=asyncio.create_task(stubborn()))", "MainThread"),
}


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
@pytest.mark.parametrize("what", HOLDING)
def test_what_holds_a_finished_worker_is_named_and_not_waited_for(tmp_path: Path, what: str, loop: str) -> None:
    start, name = HOLDING[what]
    (tmp_path / "app.py").write_text(LIFESPAN.format(start=start, stop=""))
    flags = ("--workers", "1", "--graceful-timeout", "300s", "--loop", loop)
    with running(*flags, directory=tmp_path) as daemon:
        daemon.heard.expect("worker.ready")
        daemon.signal(signal.SIGTERM)
        assert daemon.wait() == 0
        (held,) = daemon.heard.named("worker.held")
        assert name in str(held["threads"])
        (incident,) = daemon.heard.named("worker.hung", kind="exit_held")
        assert name in str(incident["stacks"])
        assert daemon.heard.named("worker.exited", cause="exited", exit_code=0)
        assert (tmp_path / "left").read_text() == "in order"


JOINS_FOR_A_WHILE = pytest.mark.skipif(
    sys.version_info >= (3, 13), reason="asyncio waits for its executor with a time limit, so that the grace is due"
)
WITHOUT_GRACE = "from server_core.worker import exit as leaving; leaving.EXIT_GRACE_S = 1e6; "


@pytest.mark.skipif(platform.machine() not in CALLS, reason="the system calls' numbers are not known for this machine")
@pytest.mark.parametrize("loop", [pytest.param("asyncio", marks=JOINS_FOR_A_WHILE), "uvloop"])
def test_threads_that_can_never_end_have_no_grace(tmp_path: Path, loop: str) -> None:
    """As marimo leaves them: an executor's waits for a queue, and a notebook's event loop for its own wake-up."""
    idle = "threading.Thread(target=asyncio.SelectorEventLoop().run_forever, daemon=True).start(); "
    start = WITHOUT_GRACE + idle + HOLDING["executor"][0]
    (tmp_path / "app.py").write_text(LIFESPAN.format(start=start, stop=""))
    with running("--workers", "1", "--graceful-timeout", "3000s", "--loop", loop, directory=tmp_path) as daemon:
        daemon.heard.expect("worker.ready")
        daemon.signal(signal.SIGTERM)
        assert daemon.wait() == 0
        assert daemon.heard.named("worker.held")
        assert (tmp_path / "left").read_text() == "in order"


LINGERING = {
    "process": (
        "import multiprocessing; "
        "multiprocessing.get_context('fork').Process(target=threading.Event().wait, name='report').start()",
        ("processes", "report (pid "),
        "in join",
    ),
    "exit function": ("atexit.register(threading.Event().wait)", ("threads", "MainThread"), "in wait"),
}


@pytest.mark.parametrize("what", LINGERING)
def test_what_a_finished_worker_waits_for_is_named_before_its_time_is_up(tmp_path: Path, what: str) -> None:
    start, (key, name), frame = LINGERING[what]
    (tmp_path / "app.py").write_text(LIFESPAN.format(start=start, stop=""))
    with running("--workers", "1", "--graceful-timeout", "300s", directory=tmp_path) as daemon:
        daemon.heard.expect("worker.ready")
        daemon.signal(signal.SIGTERM)
        (held,) = daemon.heard.expect("worker.held")
        assert name in str(held[key])
        (incident,) = daemon.heard.expect("worker.hung", kind="exit_held")
        assert frame in str(incident["stacks"])
        assert name in str(incident["stacks"])
        daemon.signal(signal.SIGQUIT)
        assert daemon.wait() == 0


BOOTS_FOR_EVER = """
import threading
threading.Event().wait()
"""


@pytest.mark.parametrize("kind", ["tcp", "unix", "abstract"])
def test_clients_that_waited_for_a_first_worker_are_counted_when_the_daemon_stops(tmp_path: Path, kind: str) -> None:
    (tmp_path / "app.py").write_text(BOOTS_FOR_EVER)
    binds = {
        "tcp": "127.0.0.1:0",
        "unix": f"unix:{tmp_path}/a.sock",
        "abstract": f"unix:@{tmp_path.name}-{os.getpid()}",
    }
    with running("--workers", "2", bind=binds[kind], directory=tmp_path) as daemon, contextlib.ExitStack() as stack:
        daemon.heard.expect("worker.spawned")
        bound = str(daemon.heard.expect("socket.bound")[0]["address"])
        clients = []
        for _ in range(3):
            client = stack.enter_context(socket.socket(socket.AF_INET if kind == "tcp" else socket.AF_UNIX))
            client.settimeout(DEADLINE_S)
            place = bound.removeprefix("unix:").replace("@", "\0")
            client.connect(daemon.address() if kind == "tcp" else place)
            client.sendall(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            clients.append(client)
        daemon.signal(signal.SIGTERM)
        assert daemon.wait() == 0
        (told,) = daemon.heard.named("listener.abandoned")
        assert (told["address"], told["waiting"]) == (bound, 3)
        for client in clients:
            with pytest.raises(ConnectionResetError):
                client.recv(1)


@pytest.mark.parametrize("kind", ["tcp", "unix"])
def test_nothing_is_counted_where_workers_have_emptied_the_queues(tmp_path: Path, kind: str) -> None:
    (tmp_path / "app.py").write_text(PID_APP)
    bind = "127.0.0.1:0" if kind == "tcp" else f"unix:{tmp_path}/a.sock"
    with running("--workers", "2", bind=bind, directory=tmp_path) as daemon:
        daemon.heard.expect("worker.ready", times=2)
        daemon.signal(signal.SIGTERM)
        assert daemon.wait() == 0
        assert not daemon.heard.named("listener.abandoned")
