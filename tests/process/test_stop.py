"""The stop of a real daemon whose clients would stay for ever."""

from __future__ import annotations

import http.client
import signal
from pathlib import Path

import pytest

from tests.helpers.daemon import DEADLINE_S, running

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
