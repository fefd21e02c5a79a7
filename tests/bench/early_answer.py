"""What a body costs that nobody reads: python -m tests.bench.early_answer [--sizes KIB,...] [--seconds S] [--rounds N].

A client POSTs bodies to an application that answers without reading them. The rest of a body is read for nothing, and
the connection kept, or it is closed behind the answer and the client connects again: two servers that differ only in
DISCARD_LIMIT (server_core/http1/keep_alive.py) take turns. Printed are CPU microseconds of the server per
request, medians of the rounds. The limit belongs where keeping costs as much as closing.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import socket
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Final

from server_core.asgi.http_exchange import Message, Receive, Send
from server_core.http1 import keep_alive
from server_core.server.server import Server
from server_core.settings.declaration import ServerSettings
from tests.bench.process_tree import ProcessTree, free_port

SIZES_KIB: Final = (64, 256, 1024, 4096, 16384, 65536)
WAYS: Final = {"kept": 1 << 40, "closed": -1}


async def unauthorized(_scope: Message, _receive: Receive, send: Send) -> None:
    await send({"type": "http.response.start", "status": 401, "headers": [(b"content-length", b"0")]})
    await send({"type": "http.response.body", "body": b""})


def told(event: str, /, **fields: object) -> None:
    """A log to nowhere."""


def serve(limit: int, port: int) -> None:
    """Serve with this limit until the process is ended."""
    import uvloop

    keep_alive.DISCARD_LIMIT = limit  # type: ignore[misc]  # a constant, which is what is measured

    async def run() -> None:
        server = Server(unauthorized, ServerSettings(), asyncio.get_running_loop(), log=told)
        server.listen(socket.create_server(("127.0.0.1", port)))
        server.serve()
        while True:
            await asyncio.sleep(1.0)
            server.sweep(asyncio.get_running_loop().time())

    uvloop.run(run())


class Uploader:
    """Writes all, then reads the answer, as most clients do; connects again where that says close."""

    def __init__(self, port: int, body: bytes) -> None:
        self._port = port
        self._request = b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: %d\r\n\r\n" % len(body) + body
        self._socket: socket.socket | None = None

    def post(self) -> bool:
        """Whether the connection was kept."""
        if self._socket is None:
            self._socket = socket.create_connection(("127.0.0.1", self._port))
        self._socket.sendall(self._request)
        answer = b""
        while not answer.endswith(b"\r\n\r\n"):
            part = self._socket.recv(65536)
            if not part:
                raise SystemExit(f"closed without an answer, behind {answer!r}")
            answer += part
        if kept := b"connection: close" not in answer:
            return kept
        self.close()
        return kept

    def close(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None


def measure(server: ProcessTree, way: str, size: int, seconds: float) -> float:
    """CPU microseconds of the server per request."""
    client = Uploader(server.port, bytes(size))
    client.post()
    began, until, count = server.cpu_s(), time.monotonic() + seconds, 0
    while time.monotonic() < until or not count:
        if client.post() is not (way == "kept"):
            raise SystemExit(f"{way}: the connection was not")
        count += 1
    client.close()
    return (server.cpu_s() - began) * 1e6 / count


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--sizes", default=",".join(map(str, SIZES_KIB)), help="of bodies, in KiB, with commas")
    parser.add_argument("--seconds", type=float, default=2.0, help="of a round")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--serve", nargs=2, type=int, metavar=("LIMIT", "PORT"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        serve(*options.serve)
        return
    with tempfile.TemporaryDirectory(prefix="bench-") as directory, contextlib.ExitStack() as ended:
        servers = {}
        for way, limit in WAYS.items():
            port = free_port()
            command = [sys.executable, "-m", "tests.bench.early_answer", "--serve", str(limit), str(port)]
            core = min(os.sched_getaffinity(0))
            servers[way] = server = ProcessTree(command, port, core=core, output=Path(directory, way))
            ended.callback(server.end)
            server.wait_until_listening()
        print("body KiB  kept us  closed us", flush=True)
        for kib in map(int, options.sizes.split(",")):
            spent: dict[str, list[float]] = {way: [] for way in servers}
            for _ in range(options.rounds):
                for way, server in servers.items():
                    spent[way].append(measure(server, way, kib * 1024, options.seconds))
            kept, closed = (statistics.median(spent[way]) for way in WAYS)
            print(f"{kib:8} {kept:8.0f} {closed:10.0f}", flush=True)


if __name__ == "__main__":
    main()
