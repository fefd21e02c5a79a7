"""What the parts of HTTP/1.1 that stand apart from a connection see of it: its state, and what it can be told to do."""

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
    from server_core.transport.closing import LingeringClose
    from server_core.transport.read_control import ReadControl


class HttpConnection(ManagedConnection, Protocol):
    """A connection as its own folder knows it; what the server knows is connection.interface.ManagedConnection."""

    server: ServerContext
    shared: Http1Shared
    transport: Transport
    peer: object
    reader: H1Reader
    writer: H1Writer
    reading: ReadControl
    ending: LingeringClose
    progress: Progress
    head: Head | None
    """The head of the last request that was read."""
    exchange: Exchange | WebSocketExchange | None
    """The call of the application that has the connection; None between two requests."""
    mode: int
    """OPEN, SHUT or LOST (transport/closing.py)."""
    fresh: bool
    """A head was read and its call is not begun yet."""
    continued: bool
    """100 Continue was sent."""
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
    body_wanted_at: float
    """loop.time() in seconds since when a body is waited for; 0 if none is."""

    @property
    def is_open(self) -> bool:
        """Whether it may serve another request."""

    def start(self, status: object, headers: Iterable[object]) -> None: ...

    def respond(self, call: Call, data: bytes, more: bool) -> None: ...

    def complete(self, call: Call) -> None:
        """The response is written; the application may still run."""

    def data_received(self, data: bytes) -> None: ...

    def body_consumed(self) -> None: ...

    def is_full(self) -> bool: ...

    def write(self, out: bytes) -> None:
        """Write behind whatever was sent before."""

    def flush(self) -> None:
        """Write what is still gathered, if anything is."""

    def shut(self) -> None:
        """Half-close, and linger."""

    def close(self) -> None:
        """Close behind what is written."""

    def future(self) -> asyncio.Future[None]: ...

    def finished(self, call: Call) -> None: ...

    def failed(self, call: Call, error: BaseException) -> None: ...
