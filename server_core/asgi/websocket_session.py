"""One WebSocket from the handshake to the return of the application: the only class that knows ASGI websocket.

Until it is accepted it stands in an exchange's place on an HTTP connection, so that a denial is a response like any
other. Then it sits above a channel. What the application is told at the end, one rule: the code of the peer's close
frame (1005 if that held none), else of ours where the server closed on its own account, else 1006.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterable
from typing import Final, Protocol

from server_core.asgi.call import Call
from server_core.asgi.errors import ClientDisconnected
from server_core.asgi.http_exchange import Application, Message
from server_core.asgi.response_states import AWAITING_START, COMPLETE, ResponseError, required
from server_core.asgi.websocket_states import (
    ABNORMAL,
    ACCEPT,
    CLOSE,
    CONNECTING,
    DENIAL,
    DENYING,
    FORBIDDEN,
    INTERNAL_ERROR,
    NORMAL,
    OPEN,
    SEND,
    code_and_reason,
    content,
    illegal,
)
from server_core.http.message import RequestLine

SWITCHING: Final = 101
"""The status of an acceptance: RFC 9110 section 15.2.2."""

MESSAGE_COST: Final = 128
"""Counted for a queued message besides its bytes: what an empty one takes in objects. sys.getsizeof, CPython 3.11."""


class Wire(Protocol):
    """What a session writes to, before it is accepted and after."""

    def is_full(self) -> bool:
        """Whether the peer takes what is sent more slowly than the application makes it."""

    def future(self) -> asyncio.Future[None]:
        """A future of the loop."""

    def finished(self, session: WebSocketExchange, /) -> None:
        """The application has returned."""

    def failed(self, session: WebSocketExchange, error: BaseException, /) -> None:
        """The application raised. Called before finished()."""


class Door(Wire, Protocol):
    """The HTTP connection that the handshake came on."""

    def start(self, status: object, headers: Iterable[object]) -> None:
        """Check and hold a denial's head."""

    def respond(self, session: WebSocketExchange, data: bytes, more: bool, /) -> None:
        """Write a part of its body."""


class Link:
    """The connection once it is accepted; a Wire.

    A base class and no Protocol, because a compiled session then calls it without a look-up.
    """

    __slots__ = ()

    def transmit(self, data: bytes | str) -> None:
        """Send one message."""
        raise NotImplementedError

    def close(self, code: int, reason: str) -> None:
        """Send the close frame, and see the closing handshake through."""
        raise NotImplementedError

    def body_consumed(self) -> None:
        """The application has taken messages, and there is room again."""
        raise NotImplementedError

    def part(self) -> None:
        """The application has taken all there was before the peer's half ended."""
        raise NotImplementedError

    def is_full(self) -> bool:
        """Whether the peer takes what is sent more slowly than the application makes it."""
        raise NotImplementedError

    def future(self) -> asyncio.Future[None]:
        """A future of the loop."""
        raise NotImplementedError

    def finished(self, session: WebSocketExchange, /) -> None:
        """The application has returned."""
        raise NotImplementedError

    def failed(self, session: WebSocketExchange, error: BaseException, /) -> None:
        """The application raised. Called before finished()."""
        raise NotImplementedError


class Acceptor(Protocol):
    """The handshake under way."""

    def accept(self, session: WebSocketExchange, subprotocol: object, headers: Iterable[object]) -> Link:
        """Accept it. ResponseError if it may not be accepted so, ClientDisconnected if nobody is there."""


class WebSocketExchange(Call):
    """One WebSocket."""

    __slots__ = (
        *("_acceptor", "_connection", "_code", "_door", "_ending", "_inbox", "_reason", "_told"),
        *("owes", "queued"),
    )

    def __init__(self, door: Door, acceptor: Acceptor, scope: dict[str, object], line: RequestLine, now: float) -> None:
        self._begin(scope, line, True, now, CONNECTING)
        self._door = door
        self._acceptor = acceptor
        self._connection: Link | None = None
        self._inbox: deque[bytes | str] = deque()
        self._told = False
        self._code, self._reason = ABNORMAL, ""
        self._ending = False
        self.owes = False
        """Whether the application has taken a message, and has neither sent anything nor asked for another since."""
        self.queued = 0
        """Bytes that wait for the application."""

    async def run(self, app: Application) -> None:
        """Run the application to its end; whatever it does, the connection hears of it."""
        error: BaseException | None = None
        try:
            await app(self.scope, self.receive, self.send)
            if self.phase in (CONNECTING, DENYING) and not self.gone:
                raise ResponseError("the application returned before it accepted or denied")
        except BaseException as raised:  # noqa: BLE001 - SystemExit in one session must not end the others'
            error = raised
        if self.phase is CONNECTING:
            self.phase = AWAITING_START  # nothing has gone out, so that the connection answers as for any request
        if error is not None:
            (self._connection or self._door).failed(self, error)
        if self.phase is OPEN and not self.gone:
            # Nobody has closed. Returning is not an error, so that the peer is told what a close() would have told it.
            self._close(NORMAL if error is None else INTERNAL_ERROR, "")
        self.task = None
        (self._connection or self._door).finished(self)

    @property
    def close_code(self) -> int | None:
        """How it was closed, as the application is told; None before it is accepted."""
        return self._code if self._connection is not None else None

    # What the connection tells

    def finish(self, code: int, reason: str) -> None:
        """No message will follow those that wait. Those are still delivered, and can be answered, before the end."""
        self._ending = True
        self._code, self._reason = code, reason
        self.wake()

    def leave(self, code: int = ABNORMAL, reason: str = "") -> None:
        """The connection is closed, or as good as; the first to say how is believed."""
        if not self.gone:
            self.gone = True
            if not self._ending:
                self._code, self._reason = code, reason
            self.wake()

    def lose(self, sent_bytes: int) -> None:
        """The connection is gone; so many bytes went out on it."""
        self.sent_bytes = sent_bytes
        self.leave()

    def deliver(self, data: bytes | str) -> None:
        """A message has come. After our own close frame nobody waits for it."""
        if self.phase is OPEN and not self.gone:
            self._inbox.append(data)
            self.queued += len(data) + MESSAGE_COST
            if self.is_waiting:
                self.wake()

    # What the application calls

    async def receive(self) -> Message:
        """ASGI receive(). Nothing is taken off before it is returned, so a cancelled call loses nothing."""
        if not self._told:
            self._told = True
            return {"type": "websocket.connect"}
        while True:
            if self._inbox:
                data = self._inbox.popleft()
                self.queued -= len(data) + MESSAGE_COST
                self.owes = True
                self._connection.body_consumed()  # type: ignore[union-attr]  # there is no inbox before there is a channel
                if isinstance(data, str):
                    return {"type": "websocket.receive", "text": data}
                return {"type": "websocket.receive", "bytes": data}
            if self._ending and not self.gone:
                self._connection.part()  # type: ignore[union-attr]  # as above: what is answered is answered now
            if self.gone or (self.phase is COMPLETE and self._connection is None):
                return {"type": "websocket.disconnect", "code": self._code, "reason": self._reason}
            self.owes = False
            await self.wait((self._connection or self._door).future())

    async def send(self, message: Message) -> None:
        """ASGI send(). Returns when there is room for more."""
        try:
            kind = message["type"]
        except KeyError:
            raise required(message, "type") from None
        if kind not in self.phase:
            raise illegal(self.phase, kind)
        if self.gone:
            raise ClientDisconnected("the WebSocket is closed")
        if kind == SEND:
            self.owes = False
            channel = self._connection
            channel.transmit(content(message))  # type: ignore[union-attr]  # the phase says that there is one
            if channel.is_full():  # type: ignore[union-attr]  # as above
                await self._room(channel)  # type: ignore[arg-type]  # as above
        elif kind == CLOSE:
            # Before it is accepted the answer is a 403, which has no place for a code: none can be wrong
            self._close(*(code_and_reason(message) if self._connection is not None else (NORMAL, "")))
        elif kind == ACCEPT:
            headers = message.get("headers") or ()
            self._connection = self._acceptor.accept(self, message.get("subprotocol"), headers)  # type: ignore[arg-type]  # checked there
            self.phase, self.status = OPEN, SWITCHING
        else:
            await self._deny(message)

    def _close(self, code: int, reason: str) -> None:
        channel = self._connection
        if channel is not None:
            self.phase = COMPLETE
            self._inbox.clear()
            channel.close(code, reason)
            return
        # ASGI: closed before it is accepted, "the server must close the connection with a HTTP 403 error code"
        self._door.start(FORBIDDEN, [(b"content-type", b"text/plain; charset=utf-8")])
        self.status = FORBIDDEN
        self.sent_bytes = len(DENIAL)
        self._door.respond(self, DENIAL, False)
        self.phase = COMPLETE
        self.wake()

    async def _deny(self, message: Message) -> None:
        """The websocket.http.response extension: a denial with a head and a body of the application's own."""
        if self.phase is CONNECTING:
            if "status" not in message:
                raise required(message, "status")
            status = message["status"]
            self._door.start(status, message.get("headers", ()))  # type: ignore[arg-type]  # checked there
            self.status = status  # type: ignore[assignment]  # an int, or start() had raised
            self.phase = DENYING
            return
        data = message.get("body", b"")
        if not isinstance(data, (bytes, bytearray, memoryview)):
            raise ResponseError(f"body: must be bytes, not {type(data).__name__}")
        data = bytes(data)
        more = bool(message.get("more_body", False))
        self.sent_bytes += len(data)
        self._door.respond(self, data, more)
        if more:
            await self._room(self._door)
        else:
            self.phase = COMPLETE
            self.wake()

    async def _room(self, wire: Wire) -> None:
        while wire.is_full():
            self.owes = False
            await self.wait(wire.future())
            if self.gone:
                raise ClientDisconnected("the WebSocket is closed")
