"""A worker that is alone in the foreground has the terminal, and one that is in a debugger is not taken for hung."""

from __future__ import annotations

import http.client
import os
import select
import signal
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.helpers.daemon import DEADLINE_S, running
from tests.helpers.debug_adapter import DebugAdapter
from tests.helpers.terminal import a_terminal

APP = """
import os
async def app(scope, receive, send):
    if scope["type"] != "http":
        return
    answer = "-"
    if scope["path"] == "/ask":
        answer = input()
    elif scope["path"] == "/break":
        breakpoint()
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": f"{os.getpid()} {answer}".encode()})
"""

DEBUGPY = """
import os
import debugpy
address = debugpy.listen(("127.0.0.1", 0))
async def app(scope, receive, send):
    if scope["type"] != "http":
        return
    if scope["path"] == "/break":
        debugpy.breakpoint()
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": f"{os.getpid()} {address[1]}".encode()})
"""

CONTROLLED = """
import fcntl, os, sys, termios
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
os.execvp(sys.argv[1], sys.argv[1:])
"""
"""A program that makes standard input the controlling terminal of its session, as a shell's terminal is."""


def test_a_single_worker_in_the_foreground_reads_the_terminal_and_may_stop_in_a_debugger(tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text(APP)
    ours, theirs = a_terminal()
    try:
        command = [sys.executable, "-c", CONTROLLED]
        flags = ("--workers", "1", "--timeout", "1")
        with running(*flags, directory=tmp_path, stdin=theirs, command=command) as daemon:
            daemon.heard.expect("worker.ready")
            os.write(ours, b"from the terminal\n")
            pid, _, answer = daemon.get("/ask")[1].partition(" ")
            assert answer == "from the terminal"
            connection = http.client.HTTPConnection(*daemon.address(), timeout=DEADLINE_S)
            connection.request("GET", "/break")
            # Three times the silence that makes a hang: a worker that was replaced would have closed the connection.
            closed = select.poll()
            closed.register(connection.sock, select.POLLIN)
            assert closed.poll(3000) == []
            os.write(ours, b"c\n")
            assert connection.getresponse().read().decode() == f"{pid} -"
            connection.close()
            assert not [event for event in daemon.events if event["event"] == "worker.hung"]
            assert daemon.ctl("scale", "2").returncode == 0
            (second,) = daemon.heard.expect("worker.ready", slot=2)
            files = [os.readlink(f"/proc/{each}/fd/0") for each in (pid, second["pid"])]
            assert files == ["/dev/tty", os.devnull]
    finally:
        os.close(ours)
        os.close(theirs)


@pytest.mark.skipif(find_spec("debugpy") is None, reason="debugpy is not installed")
def test_a_worker_that_an_attached_debugger_has_stopped_is_not_taken_for_hung(tmp_path: Path) -> None:
    """At a breakpoint debugpy stops all threads that it knows, so that none may be left that could beat."""
    (tmp_path / "app.py").write_text(DEBUGPY)
    with running("--workers", "1", "--timeout", "1", directory=tmp_path) as daemon:
        daemon.heard.expect("worker.ready")
        answer = daemon.get()[1]
        connection = http.client.HTTPConnection(*daemon.address(), timeout=DEADLINE_S)
        with DebugAdapter(int(answer.split()[1])) as debugger:
            connection.request("GET", "/break")
            debugger.expect(type="event", event="stopped")
            closed = select.poll()
            closed.register(connection.sock, select.POLLIN)
            assert closed.poll(3000) == []  # as above
            debugger.order("continue", threadId=1)
            assert connection.getresponse().read().decode() == answer
            connection.close()
        with daemon.listening() as heard:
            daemon.signal(signal.SIGHUP)  # the new worker listens at a port of its own
            heard.expect("reload.committed")
        assert daemon.get()[1].split()[1] != answer.split()[1]
        daemon.signal(signal.SIGTERM)
        assert daemon.wait() == 0
        assert not [event for event in daemon.events if event["event"] in ("worker.suspected", "worker.crashed")]
