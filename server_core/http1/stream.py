"""One response on its way: its head, the parts of its body, what waits to be written, and what went wrong.

It is the stream of one exchange at a time (asgi/http_exchange.py), and the same object serves all requests of an
HTTP/1.1 connection, one after the other: an object for each would cost every request its making. What comes from the
client, how long anything may take, and whether there is a next request are the connection's business (connection.py).
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final, cast

from server_core.asgi.http_exchange import Exchange, HttpStream
from server_core.asgi.response_states import AWAITING_START, COMPLETE
from server_core.http1.disconnect_grace import watch
from server_core.http1.error_response import fail, record_cut
from server_core.http1.extras import send_early_hints, send_trailers
from server_core.http1.file_transfer import FileTransfer
from server_core.http1.writer import CONTINUE
from server_core.transport.write_coalescer import NEXT_ANSWER, ONE_TURN, WriteCoalescer

if TYPE_CHECKING:
    from collections.abc import Iterable

    from server_core.asgi.call import Call
    from server_core.asgi.file_range import FilePart
    from server_core.asgi.websocket_session import WebSocketExchange
    from server_core.connection.context import ServerContext
    from server_core.http.message import Head
    from server_core.http1.interface import HttpConnection
    from server_core.http1.shared import Http1Shared
    from server_core.proxy.request_id import RequestIds

STREAK_LIMIT: Final = 32
"""Parts of a response's body that are written before the loop has a turn. Chosen: of 64 KiB each they take about 1 ms
to write, and a turn for each 32 costs 0.3 us a part (measured, 2 cores, CPython 3.11, a transport to nowhere)."""


class Carrier:
    """What a stream asks of its connection with each response, and here that of a connection that is lost.

    A base class, because a compiled stream then asks without a look-up.
    """

    __slots__ = ("full", "half_closed")

    def __init__(self) -> None:
        self.full = False
        """The transport asked not to be written to."""
        self.half_closed = False
        """The client's FIN was read."""

    @property
    def is_open(self) -> bool:
        """Whether it may serve another request."""
        return False

    def complete(self, call: Call) -> None:
        """The response is written: go on to the next request, or end."""

    def read_on(self) -> None:
        """The application has taken what there was of the body."""

    def may_keep(self) -> bool:
        """Whether the connection may go on behind the response that begins now, if the client has not said no."""
        return False


LOST_CONNECTION: Final = Carrier()
"""Takes the place of a connection that is lost: an application goes on with what has come of its request's body."""


class Http1Stream(HttpStream):
    """What one HTTP/1.1 connection answers with."""

    __slots__ = (
        *("_coalescer", "_loop", "_reader", "_reading", "_streak", "body_wanted_at", "connection", "continued"),
        "exchange",
        *("head", "request_ids", "server", "shared", "transport", "writer"),
    )

    def __init__(
        self,
        connection: HttpConnection,
        server: ServerContext,
        shared: Http1Shared,
        request_ids: RequestIds | None,
    ) -> None:
        self.connection = connection
        self.transport = connection.transport
        self.server, self.shared = server, shared
        self.request_ids = request_ids
        self.writer = shared.new_writer(shared.heads)
        self._reader, self._reading = connection.reader, connection.reading
        self._loop = server.loop
        self.head: Head | None = None
        self.exchange: Exchange | WebSocketExchange | None = None
        self.body_wanted_at = 0.0
        self.continued = False
        self._streak = 0
        self._coalescer: WriteCoalescer | None = None

    def lose(self) -> Exchange | WebSocketExchange | None:
        """The connection is gone, or belongs to another protocol: forget it, and return the call that it had."""
        exchange, self.exchange = self.exchange, None
        self.connection = cast("HttpConnection", LOST_CONNECTION)
        self._coalescer = None
        return exchange

    @property
    def is_open(self) -> bool:
        return self.connection.is_open

    @property
    def is_busy(self) -> bool:
        """Whether a response is due."""
        return self.exchange is not None and self.exchange.phase is not COMPLETE

    # What an exchange calls

    def start(self, status: object, headers: Iterable[object]) -> None:
        held_heads = self.shared.held_heads
        last = held_heads.starting
        if not held_heads.is_looked_after or (last is not None and last.writer.is_held):
            held_heads.note(last)
        held_heads.starting = self
        self.writer.start(status, headers)
        if self.request_ids is not None:
            line = self.request_ids.line(self.head.request_id)  # type: ignore[union-attr]  # begin() set it
            self.writer.add(self.request_ids.name, line)

    def respond(self, call: Call, data: bytes, more: bool) -> None:
        writer, connection = self.writer, self.connection
        out: bytes | tuple[bytes, bytes]
        if writer.is_held:
            server = self.server
            keep_alive = self.head.rules.keep_alive  # type: ignore[union-attr]  # begin() set it
            if keep_alive and (server.announcing or connection.half_closed or not call.received):
                keep_alive = connection.may_keep()
            out = writer.first(data, more, call.line, keep_alive, self.shared.defaults)
            server.responses[call.status] += 1
        else:
            out = writer.body(data, more)
        if more or self._reader.held or self._coalescer is not None:
            self._gather(out, more)
        elif writer.close:
            self.transport.write_last(out)
        elif type(out) is tuple:
            self.transport.writelines(out)
        elif out:
            self.transport.write(out)  # type: ignore[arg-type]  # not a tuple, so bytes
        if not more:
            connection.complete(call)

    def _gather(self, out: bytes | tuple[bytes, bytes], more: bool) -> None:
        """Write a part of what goes on, together with what else comes within a turn of the loop, or few."""
        coalescer = self._coalescer
        if coalescer is None:
            self._coalescer = coalescer = WriteCoalescer(self._loop, self._send)
        for part in out if type(out) is tuple else (out,):
            if part:
                coalescer.add(part, ONE_TURN if more else NEXT_ANSWER)  # type: ignore[arg-type]  # bytes, as above
        if not more and not self._reader.held:
            self._coalescer = None
            if self.writer.close and (rest := coalescer.take()):
                self.transport.write_last(rest)
            else:
                coalescer.flush()

    def _send(self, out: bytes) -> None:
        """For the coalescer: compiled, `self.transport.write` as a value would be the base class's, not its own."""
        self.transport.write(out)

    def send_early_hints(self, exchange: Exchange, links: object) -> None:
        send_early_hints(self, exchange, links)

    def left(self, exchange: Exchange) -> None:
        watch(self, exchange)

    def send_trailers(self, exchange: Exchange, fields: object, more: bool) -> None:
        send_trailers(self, exchange, fields, more)

    def send_file(self, exchange: Exchange, part: FilePart, more: bool) -> FileTransfer:
        return FileTransfer(self, exchange, part, more)

    def is_full(self) -> bool:
        # Nor may an application that never waits for anything else keep the loop to itself: while the client reads as
        # fast as it writes nothing is ever full, and every other client waits for the end of this response.
        self._streak += 1
        if self._streak >= STREAK_LIMIT:
            self._streak = 0
            self._loop.call_soon(self._breathe)
            return True
        # A transport that has met an error takes everything and tells us in the loop's next round only.
        return self.connection.full or self.transport.is_closing()

    def _breathe(self) -> None:
        if self.exchange is not None:
            self.exchange.wake()

    def future(self) -> asyncio.Future[None]:
        return self._loop.create_future()

    def body_requested(self, exchange: Exchange) -> None:
        self.body_wanted_at = self.server.now
        if (
            self.head.rules.expects  # type: ignore[union-attr]  # begin() set it
            and not self.continued
            and (exchange.phase is AWAITING_START or self.writer.is_held)
        ):
            self.continued = True
            self.write(CONTINUE)

    def body_consumed(self) -> None:
        if self._reading.is_paused:
            self.connection.read_on()

    def finished(self, call: Call) -> None:
        if self.exchange is call:
            self.exchange = None
            if call.phase is not COMPLETE:
                record_cut(self, call)
                if self.connection.is_open:
                    self.connection.close()  # the client has hung up, and the application took notice
        else:
            self.server.registry.end_call(call)

    def failed(self, call: Call, error: BaseException) -> None:
        fail(self, call, error)

    # Bytes

    def write(self, out: bytes) -> None:
        """Write behind whatever was sent before."""
        self.flush()
        self.transport.write(out)

    def flush(self) -> None:
        """Write what is still gathered, if anything is."""
        if self._coalescer is not None:
            self._coalescer.flush()
