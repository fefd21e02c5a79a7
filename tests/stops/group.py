"""One stop by a signal to the whole process group, with requests in flight; and what of them was lost."""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import cycle, islice, product
from pathlib import Path

from tests.helpers.daemon import DEADLINE_S, running

APP = """
import asyncio
async def app(scope, receive, send):
    assert scope["type"] == "http"
    parts = 10 if scope["path"] == "/stream" else 1
    if scope["path"] == "/slow":
        await asyncio.sleep(1)
    await send({"type": "http.response.start", "status": 200, "headers": []})
    for number in range(parts):
        last = number == parts - 1
        await send({"type": "http.response.body", "body": b"x" * 100, "more_body": not last})
        await asyncio.sleep(0 if last else 0.1)
"""

STARTS = {"template": (), "preload": ("--preload",), "none": ("--no-template",)}
OF_EACH = 8
"""Requests of each kind in flight: several in each of four workers."""


@dataclass(frozen=True)
class Case:
    """One way to start, and the signal that ends it."""

    signal: signal.Signals
    workers: int
    start: str
    loop: str

    def __str__(self) -> str:
        return f"{self.signal.name}, {self.workers} workers, {self.start}, {self.loop}"


@dataclass(frozen=True)
class Outcome:
    """What became of one stop."""

    in_flight: int
    lost: int
    crashes: int
    exit_code: int


def cases(number: signal.Signals, count: int) -> Iterator[Case]:
    """So many cases, all combinations one after the other, and again."""
    ways = product((1, 2, 4), STARTS, ("uvloop", "asyncio"))
    return islice(cycle([Case(number, workers, start, loop) for workers, start, loop in ways]), count)


def stop(case: Case, directory: Path) -> Outcome:
    """Start, fill, signal the group once and once more, and read every answer to its end."""
    (directory / "app.py").write_text(APP)
    flags = ("--workers", str(case.workers), *STARTS[case.start], "--loop", case.loop, "--graceful-timeout", "60s")
    with running(*flags, directory=directory) as daemon, ExitStack() as stack:
        daemon.heard.expect("worker.ready", times=case.workers)
        clients = []
        for path in ("/", "/slow", "/stream") * OF_EACH:
            client = stack.enter_context(socket.create_connection(daemon.address(), timeout=DEADLINE_S))
            if path == "/":  # a kept-alive connection, whose second request is under way
                client.sendall(b"GET / HTTP/1.1\r\nHost: test\r\n\r\n")
                assert is_whole(read(client, until_end=False))
            client.sendall(f"GET {path if path != '/' else '/slow'} HTTP/1.1\r\nHost: test\r\n\r\n".encode())
            clients.append(client)
        os.killpg(daemon.pid, case.signal)
        if case.signal == signal.SIGTERM:  # as a supervisor that asks again does; INT twice is fast, by intention
            os.killpg(daemon.pid, case.signal)
        lost = sum(not is_whole(read(client, until_end=True)) for client in clients)
        exit_code = daemon.wait()
        crashes = len(daemon.heard.named("worker.crashed")) + len(daemon.heard.named("worker.killed"))
        return Outcome(len(clients), lost, crashes, exit_code)


def read(client: socket.socket, *, until_end: bool) -> bytes:
    """What comes until the end of the connection, or of one response."""
    data = b""
    try:
        while until_end or not is_whole(data):
            more = client.recv(65536)
            if not more:
                break
            data += more
    except (TimeoutError, ConnectionError):
        return b""
    return data


def is_whole(data: bytes) -> bool:
    """Whether it is one complete response of the application's."""
    head, end, body = data.partition(b"\r\n\r\n")
    if not end or not head.startswith(b"HTTP/1.1 200"):
        return False
    if b"transfer-encoding: chunked" in head:
        return body.count(b"x") == 1000 and body.endswith(b"0\r\n\r\n")
    return len(body) == 100
