"""The applications that the benches drive, on every server alike."""

# ruff: noqa: ARG001 - an ASGI application takes three arguments, whether it needs them or not

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable, MutableMapping

Message = MutableMapping[str, object]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

LARGE = b"x" * 102_400
PIECE = b"x" * 1024


async def answer(send: Send, body: bytes, kind: bytes = b"text/plain") -> None:
    headers = [(b"content-type", kind), (b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def hello(scope: Message, receive: Receive, send: Send) -> None:
    """A small fixed answer; what is measured is the server."""
    assert scope["type"] == "http"
    await send(
        {
            "type": "http.response.start",
            "status": 200,
            "headers": [(b"content-type", b"text/plain"), (b"content-length", b"13")],
        }
    )
    await send({"type": "http.response.body", "body": b"Hello, world!"})


async def echo(scope: Message, receive: Receive, send: Send) -> None:
    """The request's body, read whole and sent back."""
    assert scope["type"] == "http"
    await answer(send, await whole(receive), b"application/octet-stream")


async def swallow(scope: Message, receive: Receive, send: Send) -> None:
    """The request's body, read whole; its length comes back."""
    assert scope["type"] == "http"
    await answer(send, b"%d" % len(await whole(receive)))


async def whole(receive: Receive) -> bytes:
    parts: list[bytes] = []
    more: object = True
    while more:
        message = await receive()
        part = message.get("body", b"")
        assert isinstance(part, bytes)
        parts.append(part)
        more = message.get("more_body", False)
    return b"".join(parts)


async def large(scope: Message, receive: Receive, send: Send) -> None:
    """100 KiB at once."""
    assert scope["type"] == "http"
    await answer(send, LARGE, b"application/octet-stream")


async def chunked(scope: Message, receive: Receive, send: Send) -> None:
    """A hundred pieces of 1 KiB, of unknown length."""
    assert scope["type"] == "http"
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/plain")]})
    for _ in range(100):
        await send({"type": "http.response.body", "body": PIECE, "more_body": True})
    await send({"type": "http.response.body", "body": b""})


async def waiting(scope: Message, receive: Receive, send: Send) -> None:
    """Ten milliseconds of awaited input and output."""
    assert scope["type"] == "http"
    await asyncio.sleep(0.01)
    await answer(send, b"done")


async def websocket_echo(scope: Message, receive: Receive, send: Send) -> None:
    """Echoes what is binary."""
    if scope["type"] != "websocket":
        await hello(scope, receive, send)
        return
    await receive()
    await send({"type": "websocket.accept"})
    while (message := await receive())["type"] == "websocket.receive":
        await send({"type": "websocket.send", "bytes": message["bytes"]})


LISTENERS: set[Send] = set()


async def websocket_broadcast(scope: Message, receive: Receive, send: Send) -> None:
    """What one says, all hear."""
    if scope["type"] != "websocket":
        await hello(scope, receive, send)
        return
    await receive()
    await send({"type": "websocket.accept"})
    LISTENERS.add(send)
    try:
        while (message := await receive())["type"] == "websocket.receive":
            told = {"type": "websocket.send", "bytes": message["bytes"]}
            for other in tuple(LISTENERS):
                await other(told)
    finally:
        LISTENERS.discard(send)


async def pid(scope: Message, receive: Receive, send: Send) -> None:
    """The process that answers."""
    assert scope["type"] == "http"
    await answer(send, b"%d" % os.getpid())


async def websocket_mirror(scope: Message, receive: Receive, send: Send) -> None:
    """Each message comes back as what it was."""
    assert scope["type"] == "websocket"
    await receive()
    await send({"type": "websocket.accept"})
    while (message := await receive())["type"] == "websocket.receive":
        text = message.get("text")
        await send({"type": "websocket.send", **({"bytes": message["bytes"]} if text is None else {"text": text})})


LARGE_PARTS = 64


async def slow(scope: Message, receive: Receive, send: Send) -> None:
    """4 MiB in parts for /large; for all others hello, once the request's body is read."""
    assert scope["type"] == "http"
    more = True
    while more:
        message = await receive()
        more = bool(message.get("more_body"))
    await send({"type": "http.response.start", "status": 200, "headers": []})
    if scope["path"] == "/large":
        for _ in range(LARGE_PARTS):
            await send({"type": "http.response.body", "body": b"x" * 65536, "more_body": True})
        await send({"type": "http.response.body", "body": b""})
    else:
        await send({"type": "http.response.body", "body": b"hello"})
