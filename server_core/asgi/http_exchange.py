"""One request and its response: the only class that knows ASGI http.

It sits between an application and an outlet, which is a connection today and may be a stream tomorrow. Futures are
made only when receive() or send() really has to wait: most requests are complete when the application starts, and
most responses fit into the transport's buffer.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from typing import Final, Protocol

from server_core.asgi.call import Call
from server_core.asgi.errors import ClientDisconnected
from server_core.asgi.file_range import FilePart, open_path, take_file
from server_core.asgi.response_states import (
    AWAITING_START,
    BODY,
    COMPLETE,
    FILE,
    HINT,
    PATH,
    POURING,
    START,
    TRAILERS,
    Phase,
    ResponseError,
    illegal,
    required,
)
from server_core.http.message import Head

Message = MutableMapping[str, object]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[MutableMapping[str, object], Receive, Send], Awaitable[None]]


SMALL_FILE_BYTES: Final = 65536
"""Largest file that is read at once, to leave with its head like any body. Chosen; no evidence."""


class Flow(Protocol):
    """A file on its way."""

    def flow(self) -> bool:
        """Move what can be moved now; True if that was not all, and the exchange will be woken."""

    def finish(self) -> None:
        """Write what stands behind the file, and end the response if nothing more is to come."""


class HttpStream:
    """Where an exchange's response goes, and where its request comes from.

    A base class and no Protocol, because a compiled exchange then calls it without a look-up (contrib/docs/DESIGN.md).
    """

    __slots__ = ()

    def start(self, status: object, headers: Iterable[object]) -> None:
        """Check and hold a status and headers; ResponseError if they may not go out."""
        raise NotImplementedError

    def respond(self, call: Call, data: bytes, more: bool) -> None:
        """Frame and write a part of the body, after the head if that is still held."""
        raise NotImplementedError

    def send_early_hints(self, exchange: Exchange, links: object) -> None:
        """Send links ahead of the response, if that has not gone out and the client would understand."""
        raise NotImplementedError

    def left(self, exchange: Exchange) -> None:
        """The response is under way, and its client has gone or closed its half."""
        raise NotImplementedError

    def send_trailers(self, exchange: Exchange, fields: object, more: bool) -> None:
        """Write trailer fields behind the body, for a client that asked for them."""
        raise NotImplementedError

    def send_file(self, exchange: Exchange, part: FilePart, more: bool) -> Flow:
        """Begin to send a file in place of a part of the body; what stands before it is written."""
        raise NotImplementedError

    def is_full(self) -> bool:
        """Whether the client takes the response more slowly than the application makes it."""
        raise NotImplementedError

    def future(self) -> asyncio.Future[None]:
        """A future of the loop."""
        raise NotImplementedError

    def body_requested(self, exchange: Exchange) -> None:
        """The application waits for the body."""
        raise NotImplementedError

    def body_consumed(self) -> None:
        """The application has taken what there was of the body."""
        raise NotImplementedError

    def finished(self, call: Call) -> None:
        """The application has returned, or failed before its response was complete."""
        raise NotImplementedError

    def failed(self, call: Call, error: BaseException) -> None:
        """The application raised, or left its response incomplete. Called before finished()."""
        raise NotImplementedError


class Exchange(Call):
    """One request, from its head to the return of the application."""

    __slots__ = ("_stream", "answered", "hung_up", "over", "told")

    phase: Phase

    def __init__(self, stream: HttpStream, scope: dict[str, object], head: Head, now: float) -> None:
        self._begin(scope, head.line, head.rules.length == 0, now, AWAITING_START)
        self._stream = stream
        self.answered = False
        """The end of the request's body was handed to the application."""
        self.hung_up = False
        """The client will send nothing more: receive() calls it a disconnect, send() tries nevertheless."""
        self.told = False
        """receive() has said http.disconnect."""
        self.over = False
        """The grace for a response whose client has gone is over (server_core/http1/disconnect_grace.py)."""

    @property
    def is_under_way(self) -> bool:
        """Whether the response has begun, and is not complete."""
        return self.phase is not AWAITING_START and self.phase is not COMPLETE

    async def run(self, app: Application) -> None:
        """Run the application to its end; whatever it does, the outlet hears of it."""
        try:
            await app(self.scope, self.receive, self.send)
            if self.phase is not COMPLETE and not self.gone and not self.hung_up:
                raise ResponseError("the application returned before its response was complete")
        except BaseException as error:  # noqa: BLE001 - SystemExit in one request must not end the others'
            self._stream.failed(self, error)
        self.task = None
        self._stream.finished(self)

    def leave(self) -> None:
        """The client is gone."""
        was_gone, self.gone = self.gone, True
        if self._waiters:
            self.wake()
        if not was_gone and self.is_under_way:
            self._stream.left(self)

    def hang_up(self) -> None:
        """The client has closed its half of the connection."""
        self.hung_up = True
        if self._waiters:
            self.wake()
        if self.is_under_way:
            self._stream.left(self)

    def end_grace(self) -> None:
        """send() refuses further parts of the body from now on."""
        self.over = True

    async def receive(self) -> Message:
        """ASGI receive(). Nothing is taken off before it is returned, so a cancelled call loses nothing."""
        while True:
            if self.body or (self.received and not self.answered):
                body, self.body = self.body, b""
                self.answered = self.received
                if body:
                    self._stream.body_consumed()
                return {"type": "http.request", "body": body, "more_body": not self.received}
            if self.gone or self.hung_up or self.phase is COMPLETE:
                self.told = True
                return {"type": "http.disconnect"}
            if not self.received:
                self._stream.body_requested(self)
            await self.wait(self._stream.future())

    async def send(self, message: Message) -> None:
        """ASGI send(). Returns when there is room for more, and at the loop's next turn if the client has gone."""
        try:
            kind = message["type"]
        except KeyError:
            raise required(message, "type") from None
        phase = self.phase
        if kind not in phase:
            raise illegal(phase, kind)
        if self.gone:
            await self._drop(kind, message)
            return
        if kind == START:
            try:
                status = message["status"]
            except KeyError:
                raise required(message, "status") from None
            headers = message["headers"] if "headers" in message else ()  # noqa: SIM401 - half a get()'s time, compiled
            self._stream.start(status, headers)  # type: ignore[arg-type]  # checked there
            self.status = status  # type: ignore[assignment]  # an int, or start() had raised
            trailers = "trailers" in message and message["trailers"]
            self.phase = phase[START][0 if trailers else 1]
            return
        if kind != BODY:
            await self._extend(kind, message)
            return
        data = message["body"] if "body" in message else b""  # noqa: SIM401 - as above
        data = data if type(data) is bytes else _as_bytes(data)
        more = "more_body" in message and message["more_body"]
        self.sent_bytes += len(data)
        following, last = phase[BODY]
        if more:
            self._stream.respond(self, data, True)
            self.phase = following
            if not self.gone and self._stream.is_full():  # here: a coroutine for each part costs more than the part
                await self._room()
            return
        self._stream.respond(self, data, last is not COMPLETE)
        self.phase = last
        if self._waiters:
            self.wake()

    async def _drop(self, kind: str, message: Message) -> None:
        """Take a message for a client that has gone: nothing goes out. The loop has a turn, whatever is sent how fast.

        What ends a response never raises: it is the last that many layers send before they do work of their own.
        """
        following, last = self.phase[kind]
        if kind == START:
            self.phase = following if message.get("trailers") else last
            self.over = False
            self._stream.left(self)
        elif message.get("more_trailers" if kind == TRAILERS else "more_body"):
            if self.over:
                raise ClientDisconnected("the client has closed the connection")
            self.phase = following
        else:
            self.phase = last
            if self._waiters:
                self.wake()
        await asyncio.sleep(0)  # noqa: TID251 - not a while, but the others' turn

    async def _extend(self, kind: object, message: Message) -> None:
        """Send a message of an extension."""
        following, last = self.phase[kind]  # type: ignore[index]  # send() has looked
        if kind == HINT:
            self._stream.send_early_hints(self, message.get("links", ()))
        elif kind == TRAILERS:
            more = bool(message.get("more_trailers", False))
            self._stream.send_trailers(self, message.get("headers", ()), more)
            self.phase = following if more else last
        else:
            if kind == PATH and "path" not in message:
                raise required(message, "path")
            part = open_path(message["path"]) if kind == PATH else take_file(message)
            more = kind == FILE and bool(message.get("more_body", False))
            try:
                await self._pour(part, following if more else last)
            finally:
                part.close()
        if self.phase is not COMPLETE:
            if not self.gone and self._stream.is_full():
                await self._room()
        elif self._waiters:
            self.wake()

    async def _pour(self, part: FilePart, following: Phase) -> None:
        """Send a file, and enter the phase after it."""
        more = following is not COMPLETE
        if part.left <= SMALL_FILE_BYTES:
            data = part.read(part.left) if part.left else b""
            self.sent_bytes += len(data)
            self._stream.respond(self, data, more)
            self.phase = following
            return
        pour = self._stream.send_file(self, part, more)
        self.phase = POURING
        try:
            while not self.gone and pour.flow():
                await self.wait(self._stream.future())
        finally:
            self.sent_bytes += part.moved_bytes
        if not self.gone:
            pour.finish()
        self.phase = following

    async def _room(self) -> None:
        """Return when the client has taken enough of what was written: the outlet has just said that it is full."""
        await self.wait(self._stream.future())
        while not self.gone and self._stream.is_full():
            await self.wait(self._stream.future())


def _as_bytes(data: object) -> bytes:
    if not isinstance(data, (bytes, bytearray, memoryview)):
        raise ResponseError(f"body: must be bytes, not {type(data).__name__}")
    return bytes(data)
