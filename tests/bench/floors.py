"""What nobody can get below: uvloop that writes fixed bytes, without a parser and with one.

python -m tests.bench.floors bytes|httptools PORT
"""

from __future__ import annotations

import asyncio
import sys
from typing import cast

import httptools
import uvloop

ANSWER = (
    b"HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: 13\r\n"
    b"date: Sat, 21 Nov 2026 00:00:00 GMT\r\nserver: floor\r\n\r\nHello, world!"
)


class FixedBytes(asyncio.Protocol):
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._write = cast(asyncio.Transport, transport).write

    def data_received(self, data: bytes) -> None:  # noqa: ARG002 - asyncio's signature
        self._write(ANSWER)


class Parsed(FixedBytes):
    def __init__(self) -> None:
        self._feed = httptools.HttpRequestParser(self).feed_data

    def data_received(self, data: bytes) -> None:
        self._feed(data)

    def on_header(self, name: bytes, value: bytes) -> None: ...

    def on_message_complete(self) -> None:
        self._write(ANSWER)


async def serve(kind: str, port: int) -> None:
    protocol = {"bytes": FixedBytes, "httptools": Parsed}[kind]
    server = await asyncio.get_running_loop().create_server(protocol, "127.0.0.1", port)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(serve(sys.argv[1], int(sys.argv[2])))
