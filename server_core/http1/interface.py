"""What the parts of HTTP/1.1 that stand apart from a connection and its stream see of both."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from server_core.connection.interface import ManagedConnection

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Iterable

    from server_core.asgi.call import Call
    from server_core.asgi.http_exchange import Exchange
    from server_core.asgi.websocket_session import WebSocketExchange
    from server_core.connection.context import ServerContext
    from server_core.connection.write_progress import Progress
    from server_core.http.message import Head
    from server_core.http1.reader import H1Reader
    from server_core.http1.shared import Http1Shared
    from server_core.http1.writer import H1Writer
    from server_core.transport.base import Transport
    from server_core.transport.read_control import ReadControl


class HttpConnection(ManagedConnection, Protocol):
    """A connection as its own folder knows it; what the server knows is connection.interface.ManagedConnection."""

    server: ServerContext
    transport: Transport
    peer: object
    reader: H1Reader
    reading: ReadControl
    progress: Progress
    full: bool
    """The transport asked not to be written to."""
    half_closed: bool
    """The client's FIN was read."""
    discarded: int
    """Bytes of a request's body that were read for nothing."""
    waiting: int
    """Heads that wait behind the request under way (pipelining.py)."""
    since: float
    """loop.time() in seconds when the present state began."""

    @property
    def stream(self) -> ResponseStream: ...

    @property
    def is_open(self) -> bool:
        """Whether it may serve another request."""

    def complete(self, call: Call) -> None:
        """The response is written; the application may still run."""

    def may_keep(self) -> bool:
        """Whether it may go on behind the response that begins now, if the client has not said no."""

    def data_received(self, data: bytes) -> None: ...

    def read_on(self) -> None:
        """Read again, unless so much waits that reading was paused for it."""

    def detach(self) -> tuple[Transport, bytes]:
        """Give away the transport, with the bytes that came behind the request; ClientDisconnected if it has ended."""

    def shut(self) -> None:
        """Half-close, and linger."""

    def close(self) -> None:
        """Close behind what is written."""

    def cut(self, by_reset: bool) -> None:
        """Close so that the end of the response cannot be taken for its end."""


class ResponseStream(Protocol):
    """One response on its way, as the parts know it that see to what is rare."""

    connection: HttpConnection
    server: ServerContext
    shared: Http1Shared
    transport: Transport
    writer: H1Writer
    head: Head | None
    """The head of the last request that was read."""
    exchange: Exchange | WebSocketExchange | None
    """The call of the application that it answers; None between two requests."""
    body_wanted_at: float
    """loop.time() in seconds since when a body is waited for; 0 if none is."""

    @property
    def is_open(self) -> bool:
        """Whether the connection may serve another request."""

    @property
    def is_busy(self) -> bool:
        """Whether a response is due."""

    def start(self, status: object, headers: Iterable[object]) -> None: ...

    def respond(self, call: Call, data: bytes, more: bool) -> None: ...

    def is_full(self) -> bool: ...

    def write(self, out: bytes) -> None:
        """Write behind whatever was sent before."""

    def flush(self) -> None:
        """Write what is still gathered, if anything is."""

    def future(self) -> asyncio.Future[None]: ...

    def finished(self, call: Call) -> None: ...

    def failed(self, call: Call, error: BaseException) -> None: ...
