"""What a WSGI application notices of a client that has gone, whichever wrapper runs it in its threads.

WSGI has no message for it. Servers of WSGI raise from the read or the write that fails, and close the iterable of a
response that nobody takes (PEP 3333: "regardless of whether the request was completed normally"). The wrappers do
neither: their threads would go on to the end of an iterable, which may have none.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Iterator, MutableMapping
from contextvars import ContextVar
from typing import Final, TypeAlias

from server_core.http.call import Call
from server_core.http.disconnect import ClientDisconnected

Message: TypeAlias = MutableMapping[str, object]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]
Write: TypeAlias = Callable[[bytes], object]
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


def ended_with_its_client(app: WsgiApplication) -> WsgiApplication:
    """The application, its response's iterable closed at the first part that has no client any more."""

    def application(environ: dict[str, object], start_response: Callable[..., Write]) -> Iterable[bytes]:
        call = _CALL.get()
        if call is None:
            return app(environ, start_response)

        def start(*arguments: object, **named: object) -> Write:
            write = start_response(*arguments, **named)

            def write_or_raise(data: bytes) -> object:
                if call.gone:
                    raise ClientDisconnected("the client has closed the connection")
                return write(data)

            return write_or_raise

        return _parts(app(environ, start), call)

    return application


def _parts(iterable: Iterable[bytes], call: Call) -> Iterator[bytes]:
    """An iterable until its client goes, then closed; also where a wrapper only drops it (asgiref 3.13)."""
    try:
        for part in iterable:
            yield part
            if call.gone:
                return
    finally:
        close = getattr(iterable, "close", None)
        if close is not None:
            close()
