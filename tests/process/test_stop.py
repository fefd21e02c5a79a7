"""The stop of a real daemon whose clients would stay for ever."""

from __future__ import annotations

import errno
import http.client
import os
import signal
import socket
from pathlib import Path

import pytest

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
