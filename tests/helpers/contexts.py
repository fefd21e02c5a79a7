"""Whose context something runs in: an application that leaves a mark in its own, and loops that watch for it."""

from __future__ import annotations

import asyncio
import decimal
from collections.abc import Callable, Iterable
from contextvars import Context, ContextVar, copy_context
from decimal import Decimal
from typing import Any

import uvloop

from server_core.asgi.http_exchange import Message, Receive, Send
from tests.helpers.http import reply

NOBODY = "nobody"
USER: ContextVar[str] = ContextVar("USER", default=NOBODY)
DIGITS = decimal.DefaultContext.prec


class Marking:
    """Notes whose context each call begins in, and marks it with the path and with a decimal context of its own.

    What it does with a request is in the path: /whole answers at once; /gated waits for the gate; /late sends all of
    its content-length, waits for the gate, and says only then that this was all; /stream sends so many parts that the
    loop has turns in between; /lasting takes the WebSocket, echoes, and closes when it is told "bye".
    """

    def __init__(self) -> None:
        self.begun: list[str] = []
        """Whose context each call began in; NOBODY is right."""
        self.kept: list[bool] = []
        """Whether it still had its own in the end."""
        self.gate = asyncio.Event()
        self.waiting = 0

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        digits = decimal.getcontext().prec
        self.begun.append(USER.get() if digits == DIGITS else f"{USER.get()}, who reckons with {digits} digits")
        path = str(scope["path"])
        USER.set(path)
        decimal.setcontext(decimal.Context(prec=5))
        if scope["type"] == "websocket":
            await self._last(receive, send)
        elif path.startswith("/stream"):
            await self._stream(send)
        elif path.startswith("/late"):
            await self._answer_late(send)
        else:
            if path.startswith("/gated"):
                await self._wait()
            await reply(send, path.encode())
        self.kept.append(USER.get() == path and Decimal(1) / 3 == Decimal("0.33333"))

    async def _wait(self) -> None:
        self.waiting += 1
        await self.gate.wait()
        self.waiting -= 1

    async def _stream(self, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200})
        for _ in range(100):
            await send({"type": "http.response.body", "body": b"x" * 100, "more_body": True})
        await send({"type": "http.response.body", "body": b""})

    async def _answer_late(self, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"4")]})
        await send({"type": "http.response.body", "body": b"late", "more_body": True})
        await self._wait()
        await send({"type": "http.response.body", "body": b""})

    async def _last(self, receive: Receive, send: Send) -> None:
        await receive()
        await send({"type": "websocket.accept"})
        while True:
            message = await receive()
            if message["type"] == "websocket.disconnect":
                return
            await send({"type": "websocket.send", "text": f"{message['text']} {USER.get()}"})
            if message["text"] == "bye":
                await send({"type": "websocket.close"})
                return


class Watch:
    """Notes each callback of server_core's that is registered to run in the context of a call."""

    strayed: list[str]

    def watch(self, callback: Callable[..., object], context: Context | None) -> None:
        owner = getattr(callback, "__self__", None)
        home = getattr(callback, "__module__", None) if owner is None else type(owner).__module__
        if str(home).startswith("server_core") and (context or copy_context()).get(USER) is not None:
            self.strayed.append(f"{home}: {callback!r}")


class WatchingLoop(asyncio.SelectorEventLoop, Watch):
    """asyncio's loop."""

    def __init__(self) -> None:
        self.strayed = []
        super().__init__()

    def call_soon(self, callback: Callable[..., object], *args: Any, context: Context | None = None) -> asyncio.Handle:
        self.watch(callback, context)
        return super().call_soon(callback, *args, context=context)

    def call_at(
        self, when: float, callback: Callable[..., object], *args: Any, context: Context | None = None
    ) -> asyncio.TimerHandle:
        self.watch(callback, context)
        return super().call_at(when, callback, *args, context=context)

    def add_reader(self, fd: Any, callback: Callable[..., object], *args: Any) -> None:
        self.watch(callback, None)
        super().add_reader(fd, callback, *args)

    def add_writer(self, fd: Any, callback: Callable[..., object], *args: Any) -> None:
        self.watch(callback, None)
        super().add_writer(fd, callback, *args)


class WatchingUvloop(uvloop.Loop, Watch):  # type: ignore[misc]  # uvloop is not typed for mypy here
    """uvloop's, of which Python sees what Python asks for."""

    def __init__(self) -> None:
        self.strayed = []
        super().__init__()

    def call_soon(self, callback: Callable[..., object], *args: Any, context: Context | None = None) -> Any:
        self.watch(callback, context)
        return super().call_soon(callback, *args, context=context)

    def call_later(
        self, delay: float, callback: Callable[..., object], *args: Any, context: Context | None = None
    ) -> Any:
        self.watch(callback, context)
        return super().call_later(delay, callback, *args, context=context)

    def call_at(self, when: float, callback: Callable[..., object], *args: Any, context: Context | None = None) -> Any:
        self.watch(callback, context)
        return super().call_at(when, callback, *args, context=context)

    def add_reader(self, fd: Any, callback: Callable[..., object], *args: Any) -> None:
        self.watch(callback, None)
        super().add_reader(fd, callback, *args)

    def add_writer(self, fd: Any, callback: Callable[..., object], *args: Any) -> None:
        self.watch(callback, None)
        super().add_writer(fd, callback, *args)


LOOPS: dict[str, Callable[[], WatchingLoop | WatchingUvloop]] = {"asyncio": WatchingLoop, "uvloop": WatchingUvloop}


def request(path: str, *fields: bytes) -> bytes:
    """A GET with these lines besides."""
    return b"GET %b HTTP/1.1\r\nhost: x\r\n%b\r\n" % (path.encode(), b"".join(field + b"\r\n" for field in fields))


def strangers(begun: Iterable[str]) -> list[str]:
    """In whose contexts calls began that should have begun in nobody's."""
    return [user for user in begun if user != NOBODY]
