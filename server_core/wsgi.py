"""What the wrappers of WSGI leave out of PEP 3333, whichever of them runs the application in its threads.

Clients that go: WSGI has no message for it. Servers of WSGI raise from the read or the write that fails, and close the
iterable of a response that nobody takes (PEP 3333: "regardless of whether the request was completed normally"). The
wrappers do neither: their threads would go on to the end of an iterable, which may have none.

Heads that are changed: start_response() only notes a head, and it leaves with the first part of the body that holds
anything, so that an error before that part is a 500. One wrapper sends it at once and ignores the one that replaces it.

The environ: the wrappers do not say that wsgi.input ends with the body, so that frameworks take a chunked body for
none, and what is written to wsgi.errors goes to standard output by one and fails by the other.
"""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable, Iterable, Iterator, MutableMapping
from contextvars import ContextVar
from types import TracebackType
from typing import Final, TypeAlias

from server_core.asgi.call import Call
from server_core.asgi.errors import ClientDisconnected

Message: TypeAlias = MutableMapping[str, object]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]
Write: TypeAlias = Callable[[bytes], object]
Fields: TypeAlias = Iterable[tuple[str, str]]
ErrorInfo: TypeAlias = tuple[type[BaseException], BaseException, TracebackType | None]
WsgiApplication: TypeAlias = Callable[[dict[str, object], Callable[..., Write]], Iterable[bytes]]

_CALL: Final[ContextVar[Call | None]] = ContextVar("call", default=None)
"""The request that a thread serves: both wrappers hand the context of the request's task to it."""


def enter(receive: Receive, send: Send) -> Receive:
    """Note whose request this task is; a receive() for its wrapper, which raises instead of ending a body too early.

    The wrappers take a disconnect for the end of the body, and half an upload for a whole one.
    """
    call = getattr(send, "__self__", None)
    _CALL.set(call if isinstance(call, Call) else None)

    async def receive_or_raise() -> Message:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientDisconnected("the client has closed the connection")
        return message

    return receive_or_raise


def completed(app: WsgiApplication) -> WsgiApplication:
    """The application as PEP 3333 has it run, its iterable closed at the first part that has no client any more."""

    def application(environ: dict[str, object], start_response: Callable[..., Write]) -> Iterable[bytes]:
        environ["wsgi.input_terminated"] = True  # both wrappers' reads end where the body does
        environ["wsgi.errors"] = sys.stderr
        response = _Response(_CALL.get(), start_response)
        return response.parts(app(environ, response.start))

    return application


class _Response:
    """A response's head, until a part of the body makes it leave."""

    __slots__ = ("_call", "_head", "_start", "_write")

    def __init__(self, call: Call | None, start: Callable[..., Write | None]) -> None:
        self._call = call
        self._start = start
        self._head: tuple[str, list[tuple[str, str]]] | None = None
        self._write: Write | None = None
        """What the wrapper's start_response() gave: the head has left."""

    def start(self, status: str, fields: Fields, exc_info: ErrorInfo | None = None) -> Write:
        """start_response() of PEP 3333: a second call needs exc_info, which is raised if the head has left."""
        if exc_info is not None and self._write is not None:
            raise exc_info[1].with_traceback(exc_info[2])
        if exc_info is None and self._head is not None:
            raise RuntimeError("start_response() was called again, without exc_info; PEP 3333 allows it only with it")
        self._head = (status, list(fields))
        return self.write

    def write(self, data: bytes) -> object:
        """The callable that start_response() returns; ClientDisconnected once the client has gone."""
        if self._is_gone():
            raise ClientDisconnected("the client has closed the connection")
        return self._leave()(data)

    def parts(self, iterable: Iterable[bytes]) -> Iterator[bytes]:
        """An iterable until its client goes, then closed; also where a wrapper only drops it (asgiref 3.13).

        Empty parts are left out: an application gives one when it has nothing yet (PEP 3333, "Middleware Handling of
        Block Boundaries").
        """
        try:
            for part in iterable:
                if len(part) > 0:
                    self._leave()
                    yield part
                if self._is_gone():
                    break
            self._leave()
        finally:
            close = getattr(iterable, "close", None)
            if close is not None:
                close()

    def _leave(self) -> Write:
        """Give the head to the wrapper, if it does not have it yet; its write()."""
        if self._write is None:
            if self._head is None:
                raise RuntimeError("the application gave its response's body before it called start_response()")
            self._write = self._start(*self._head) or _no_write
        return self._write

    def _is_gone(self) -> bool:
        return self._call is not None and self._call.gone


def _no_write(_data: bytes) -> object:
    raise RuntimeError("write() needs a2wsgi: asgiref has none; give the body as an iterable")
