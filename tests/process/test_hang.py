"""A hung worker is explained, replaced and killed, whatever holds it, and the others serve on meanwhile."""

from __future__ import annotations

import json
import os
import signal
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.helpers.daemon import DEADLINE_S, Daemon, running

APP = """
import os, re, signal, time

def block_the_loop():
    time.sleep(600)

def hold_the_interpreter():
    re.match(r"(a+)+$", "a" * 60 + "b")

async def app(scope, receive, send):
    if scope["type"] != "http":
        return
    if scope["path"] == "/block":
        block_the_loop()
    if scope["path"] == "/hold":
        hold_the_interpreter()
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": str(os.getpid()).encode()})
"""


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[Daemon]:
    (tmp_path / "app.py").write_text(APP)
    with running("--workers", "2", "--timeout", "1", directory=tmp_path) as started:
        started.heard.expect("worker.ready", times=2)
        yield started


def ask(daemon: Daemon, path: str) -> socket.socket:
    """A request that nobody will answer; the caller closes it."""
    sock = socket.create_connection(daemon.address(), timeout=DEADLINE_S)
    sock.sendall(f"GET {path} HTTP/1.1\r\nHost: test\r\n\r\n".encode())
    return sock


def explained(daemon: Daemon, act: Callable[[], object], kind: str) -> dict[str, object]:
    """The incident that follows `act`; on the way the fleet is whole again and the hung process is gone."""
    before = set(daemon.pids().values())
    with daemon.listening() as heard:
        act()
        hung = heard.expect("worker.hung")[0]
        assert hung["kind"] == kind
        assert hung["pid"] in before
        exited = heard.expect("worker.crashed")[0]
        assert (exited["pid"], exited["signal"]) == (hung["pid"], "SIGKILL")
        heard.expect("worker.ready")
        names = heard.names()
        assert names.index("worker.suspected") < names.index("worker.spawned") < names.index("worker.crashed")
    for _ in range(6):  # whoever is left, and the replacement
        status, body = daemon.get("/")
        assert status == 200
        assert int(body) != hung["pid"]
    incidents = json.loads(daemon.ctl("incidents", "--json").stdout)
    found = incidents["incidents"] if isinstance(incidents, dict) else incidents
    assert len(found) == 1
    assert found[0]["kind"] == kind
    assert isinstance(found[0], dict)
    return found[0]


def test_a_blocked_loop_is_explained_by_file_line_and_request(daemon: Daemon) -> None:
    waiting: list[socket.socket] = []
    incident = explained(daemon, lambda: waiting.append(ask(daemon, "/block")), "loop_blocked")
    waiting[0].close()
    assert "app.py" in str(incident["stacks"])
    assert "block_the_loop" in str(incident["stacks"])
    assert "line 5" in str(incident["stacks"])
    in_flight = incident["in_flight"]
    assert isinstance(in_flight, list)
    assert [(entry["method"], entry["path"]) for entry in in_flight] == [("GET", "/block")]


def test_code_that_holds_the_interpreter_is_told_apart_and_explained(daemon: Daemon) -> None:
    waiting: list[socket.socket] = []
    incident = explained(daemon, lambda: waiting.append(ask(daemon, "/hold")), "interpreter_held")
    waiting[0].close()
    assert "hold_the_interpreter" in str(incident["stacks"])


def test_a_stopped_process_is_told_apart(daemon: Daemon) -> None:
    victim = daemon.pids()[1]
    explained(daemon, lambda: os.kill(victim, signal.SIGSTOP), "process_stopped")


def test_a_worker_that_wakes_up_in_time_is_kept(tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text(APP)
    with running("--timeout", "1", directory=tmp_path) as daemon:
        pid = daemon.heard.expect("worker.ready")[0]["pid"]
        assert isinstance(pid, int)
        with daemon.listening() as heard:
            os.kill(pid, signal.SIGSTOP)
            heard.expect("worker.suspected")
            os.kill(pid, signal.SIGCONT)
            heard.expect("worker.recovered")
            heard.expect("worker.exited")  # the replacement that is not needed any more, in whatever state it is
            assert not heard.named("worker.crashed", pid=pid)
        assert pid in daemon.pids().values()
        assert daemon.get("/") == (200, str(pid))
