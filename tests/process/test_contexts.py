"""However a worker came to have the application, each request runs in a clean copy of that worker's context."""

from __future__ import annotations

import socket
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.helpers.daemon import DEADLINE_S, running

APP = """
from contextlib import contextmanager
from contextvars import ContextVar

USER = ContextVar("USER")
USER.set("set at import")
STARTED = ContextVar("STARTED", default="not seen")


async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        await receive()
        STARTED.set("seen")
        USER.set("set by lifespan")
        await send({"type": "lifespan.startup.complete"})
        await receive()
        assert (USER.get(), STARTED.get()) == ("set by lifespan", "seen")
        await send({"type": "lifespan.shutdown.complete"})
        return
    body = f"{USER.get()}, {STARTED.get()}".encode()
    USER.set(scope["path"])
    STARTED.set(scope["path"])
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % len(body))]})
    await send({"type": "http.response.body", "body": body, "more_body": True})
    await send({"type": "http.response.body", "body": b""})
"""
CLEAN = b"set at import, not seen"
PIPELINED = 20


def pipelined(address: tuple[str, int]) -> bytes:
    """All that comes back to many requests on one connection."""
    with socket.create_connection(address, DEADLINE_S) as client:
        heads = [b"GET /%d HTTP/1.1\r\nhost: x\r\n\r\n" % number for number in range(PIPELINED - 1)]
        client.sendall(b"".join(heads) + b"GET /last HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
        heard = b""
        while data := client.recv(65536):
            heard += data
        return heard


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
@pytest.mark.parametrize("birth", ["--preload", "--template", "--no-template"])
def test_requests_see_what_the_import_set_and_nothing_of_each_other(birth: str, loop: str, tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text(APP)
    flags = ("--workers", "2", "--limit-connections", "1", "--loop", loop)
    with running(*flags, *(() if birth == "--template" else (birth,)), directory=tmp_path) as daemon:
        daemon.heard.expect("worker.ready", times=2)
        address = daemon.address()
        with ThreadPoolExecutor(6) as clients:
            for heard in clients.map(pipelined, [address] * 24):
                assert heard.count(CLEAN) == heard.count(b"HTTP/1.1 200 OK") == PIPELINED
        with daemon.listening() as later:
            assert daemon.ctl("reload").returncode == 0
            later.expect("worker.ready", times=2)
        assert pipelined(address).count(CLEAN) == PIPELINED
        assert daemon.heard.named("request.failed") == []
