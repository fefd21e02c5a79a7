"""The application that the chaos client loads: every answer is computed from its request, so a wrong one shows.

Standard library only, so that every server runs it in any environment. A deployment is a file of one line that calls
`application()`; what a bad deployment does is an argument here. Every answer names the process that gave it.
"""

from __future__ import annotations

import asyncio
import os
import time
import zlib
from collections.abc import Awaitable, Callable
from urllib.parse import parse_qsl

Scope = dict[str, object]
Receive = Callable[[], Awaitable[dict[str, object]]]
Send = Callable[[dict[str, object]], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]

PID = str(os.getpid()).encode()


def application(
    *, label: str = "sound", startup_s: float = 0.0, status: int = 200, journal: str = os.devnull
) -> Application:
    """An ASGI application; `startup_s` is what its lifespan start-up takes, `status` what each request gets.

    `journal` is a file: every WebSocket message is noted in it the moment that the application has it.
    """
    noted = os.open(journal, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await lifespan(receive, send, startup_s)
            return
        if scope["type"] == "websocket":
            await echo(receive, send, noted)
            return
        answer = Answer(receive, send, status, label.encode())
        path, query = scope["path"], scope["query_string"]
        assert isinstance(path, str)
        assert isinstance(query, bytes)
        await ROUTES[path](answer, dict(parse_qsl(query.decode("ascii"))))

    return app


async def lifespan(receive: Receive, send: Send, startup_s: float) -> None:
    await receive()
    await asyncio.sleep(startup_s)
    await send({"type": "lifespan.startup.complete"})
    await receive()
    await send({"type": "lifespan.shutdown.complete"})


async def echo(receive: Receive, send: Send, noted: int) -> None:
    """Every text message of a WebSocket comes back."""
    await receive()
    await send({"type": "websocket.accept", "headers": [(b"x-pid", PID)]})
    while (message := await receive())["type"] == "websocket.receive":
        os.write(noted, f"{message['text']}\n".encode())
        await send({"type": "websocket.send", "text": message["text"]})


class Answer:
    """One exchange, as the routes see it."""

    def __init__(self, receive: Receive, send: Send, status: int, label: bytes) -> None:
        self.receive = receive
        self.send = send
        self.status = status
        self.label = label

    async def start(self, length: int | None) -> None:
        headers = [(b"content-type", b"text/plain"), (b"x-pid", PID), (b"x-deploy", self.label)]
        if length is not None:
            headers.append((b"content-length", str(length).encode()))
        await self.send({"type": "http.response.start", "status": self.status, "headers": headers})

    async def whole(self, body: bytes) -> None:
        await self.start(len(body))
        await self.send({"type": "http.response.body", "body": body})


async def hello(answer: Answer, query: dict[str, str]) -> None:
    await answer.whole(hello_body(query["n"]))


async def healthz(answer: Answer, _: dict[str, str]) -> None:
    await answer.whole(b"well\n")


async def digest(answer: Answer, query: dict[str, str]) -> None:
    """The length and checksum of the body that arrived."""
    length = checksum = 0
    while True:
        message = await answer.receive()
        if message["type"] == "http.disconnect":
            return
        body = message.get("body", b"")
        assert isinstance(body, bytes)
        length += len(body)
        checksum = zlib.crc32(body, checksum)
        if not message.get("more_body", False):
            break
    await answer.whole(digest_body(query["n"], length, checksum))


async def stream(answer: Answer, query: dict[str, str]) -> None:
    """So many pieces, one every so many seconds; chunked, because nobody is told the length."""
    await answer.start(None)
    for index in range(int(query["pieces"])):
        piece = stream_piece(query["n"], index, int(query["bytes"]))
        await answer.send({"type": "http.response.body", "body": piece, "more_body": True})
        await asyncio.sleep(float(query["every_s"]))
    await answer.send({"type": "http.response.body", "body": b"", "more_body": False})


HANG_BYTES = 8
"""Half of what /hang answers: one half before it hangs, one after it."""


async def hang(answer: Answer, query: dict[str, str]) -> None:
    """Blocks the event loop of this worker, as a forgotten synchronous call does, once it has begun to answer."""
    await answer.start(2 * HANG_BYTES)
    await answer.send({"type": "http.response.body", "body": b"." * HANG_BYTES, "more_body": True})
    await asyncio.sleep(0.01)  # the loop turns, and writes
    time.sleep(float(query["seconds"]))
    await answer.send({"type": "http.response.body", "body": b"." * HANG_BYTES})


ROUTES: dict[str, Callable[[Answer, dict[str, str]], Awaitable[None]]] = {
    "/hello": hello,
    "/healthz": healthz,
    "/digest": digest,
    "/stream": stream,
    "/hang": hang,
}


def hello_body(nonce: str) -> bytes:
    return b"hello %s\n" % nonce.encode()


def digest_body(nonce: str, length: int, checksum: int) -> bytes:
    return b"%s %d %08x\n" % (nonce.encode(), length, checksum)


def stream_piece(nonce: str, index: int, size: int) -> bytes:
    """Piece number `index`: no two pieces of no two streams are alike, so a lost or doubled one is noticed."""
    stamp = b"%s/%d;" % (nonce.encode(), index)
    return (stamp * (size // len(stamp) + 1))[:size]
