"""One client's connection: bytes in and out, deadlines, backpressure, and how it ends.

It is the sink of a request reader and the outlet of one exchange at a time. Whatever waits here has a deadline, but
there is no timer per request: a connection stores coarse instants, and the server's sweep compares them.

Ends, from the gentlest to the hardest:
  shut    half-close, then read and discard for a moment, so that no reset overtakes the response (RFC 9112 section 9.6)
  cut     a response cannot be completed: the client must see that it is not whole
  abort   nobody is there, or nobody can wait any longer
"""

from __future__ import annotations

import array
import asyncio
import fcntl
import socket
import struct
import termios
import traceback
from time import monotonic
from typing import TYPE_CHECKING, Final, cast

from server_core.http.exchange import ClientDisconnected, Exchange
from server_core.http.h1_reader import H1Reader
from server_core.http.h1_writer import CONTINUE, H1Writer
from server_core.http.response import AWAITING_START, COMPLETE
from server_core.http.scope import Address, build, template
from server_core.http.wire import Head, Refused, RequestLine

if TYPE_CHECKING:
    from server_core.server import Server
    from server_core.websocket.channel import Channel
    from server_core.websocket.session import Session

HIGH_WATER: Final = 65536
"""Bytes that wait for the application, or behind its request, before reading pauses. asyncio's and uvloop's own mark
for the other direction is the same."""

DISCARD_LIMIT: Final = 262144
"""Bytes of a request body that are read for nothing after the response, to keep the connection. Chosen; no evidence."""

LINGER_S: Final = 1.0
"""How long a half-closed connection is read. DESIGN: "half-close, linger up to 1 s, close"."""

_OPEN, _SHUT, _LOST = range(3)


class Connection(asyncio.Protocol):
    """The protocol of one accepted socket."""

    __slots__ = (
        "_base",
        "_body_wanted_at",
        "_continued",
        "_discarded",
        "_eof",
        "_fresh",
        "_full",
        "_head",
        "_loop",
        "_mode",
        "_paused",
        "_peer",
        "_reader",
        "_server",
        "_since",
        "_stalled_at",
        "_taken_bytes",
        "_tls",
        "_transport",
        "_trusted",
        "_writer",
        "_written_bytes",
        "exchange",
        "start",
    )

    def __init__(self, server: Server, peer: object) -> None:
        self._server = server
        self._peer = peer
        self._mode = _OPEN
        self._reader = H1Reader(server.new_parser(), server.lines, server.settings, self)
        self._writer = H1Writer()
        self.start = self._writer.start
        self._loop = server.loop
        self._head: Head | None = None
        self.exchange: Exchange | Session | None = None
        self._fresh = self._continued = self._full = self._paused = self._eof = False
        self._discarded = self._written_bytes = self._taken_bytes = 0
        self._since = self._stalled_at = server.now
        self._body_wanted_at = 0.0

    # The transport's side

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        client = _address(self._peer)
        self._trusted = self._server.trusted.trusts(client[0] if client else None)
        own = _address(transport.get_extra_info("sockname"))
        tls = self._server.tls
        connected = transport.get_extra_info("ssl_object") if tls is not None else None
        self._tls = tls.describe(connected) if tls is not None and connected is not None else None
        self._base = template("https" if self._tls else "http", client, own, self._server.root_path)
        self._server.connections[self] = None

    def data_received(self, data: bytes) -> None:
        if self._mode != _OPEN:
            return  # shut: read only so that the kernel does not answer with a reset
        reader = self._reader
        try:
            reader.feed(data)
        except Refused as refused:
            self._refuse(refused)
            return
        if self._fresh:
            self._fresh = False
            if reader.held and len(reader.held) > HIGH_WATER:
                self._pause()
            exchange = self.exchange
            server = self._server
            exchange.task = server.new_task(exchange.run(server.app))  # type: ignore[union-attr]  # begin() set it
        elif reader.held:
            if len(reader.held) == len(data):
                self._since = self._server.now  # a next request's first byte
            if len(reader.held) > HIGH_WATER:
                self._pause()

    def eof_received(self) -> bool:
        """Keep the connection open while an answer is due: a client may half-close and wait (RFC 9112 section 9.6).

        Nearly all that send a FIN are gone, though, so an application that asks is told of a disconnect.
        """
        if self._mode != _OPEN:
            return False
        self._eof = True
        exchange = self.exchange
        if self._reader.is_in_body:
            if exchange is not None:
                exchange.leave()
            return False
        if isinstance(exchange, Exchange):
            exchange.hang_up()
        if self._tls is not None:
            return False  # asyncio cannot keep half of a TLS connection
        return exchange is not None and exchange.phase is not COMPLETE

    def connection_lost(self, error: Exception | None) -> None:  # noqa: ARG002 - asyncio's signature
        self._mode = _LOST
        exchange, self.exchange = self.exchange, None
        if exchange is not None:
            self._server.background.add(exchange)
            exchange.leave()
        self._server.forget(self)

    def pause_writing(self) -> None:
        self._full = True

    def resume_writing(self) -> None:
        self._full = False
        if self.exchange is not None:
            self.exchange.wake()

    # The reader's sink

    def begin(self, head: Head) -> None:
        server = self._server
        scope = build(self._base, head, server.state)
        if self._tls is not None:
            scope["extensions"] = {"tls": self._tls.copy()}
        if head.forwarded and self._trusted:
            client, scheme = server.trusted.client(head.forwarded)
            if client is not None:
                scope["client"] = (client, 0)
            if scheme is not None:
                scope["scheme"] = scheme
        if self.exchange is not None:
            server.background.add(self.exchange)  # answered, but the application still runs
        server.requests_total += 1
        if server.requests_total == server.max_requests:
            server.reach_max_requests()
        self._head = head
        self._continued = False
        self._fresh = True
        if head.rules.upgrade and (session := server.upgrade(self, head, scope)) is not None:
            self.exchange = session
            return
        self.exchange = Exchange(self, scope, head.line, head.rules.length == 0, monotonic())

    def body(self, data: bytes) -> None:
        exchange = self.exchange
        if exchange is None or exchange.phase is COMPLETE:
            self._discarded += len(data)
            if self._discarded > DISCARD_LIMIT:
                self._shut()
            return
        self._body_wanted_at = 0.0
        exchange.body = exchange.body + data if exchange.body else data
        if exchange.is_waiting:
            exchange.wake()
        if len(exchange.body) > HIGH_WATER:
            self._pause()

    def end(self) -> None:
        exchange = self.exchange
        if exchange is None or exchange.phase is COMPLETE:
            self._next()
            return
        exchange.received = True
        if exchange.is_waiting:
            exchange.wake()

    # The exchange's outlet

    def respond(self, exchange: Exchange | Session, data: bytes, more: bool) -> None:
        writer = self._writer
        out: bytes | tuple[bytes, bytes]
        if writer.is_held:
            rules, server = self._head.rules, self._server  # type: ignore[union-attr]  # begin() set it
            keep_alive = rules.keep_alive
            if keep_alive and (server.announcing or self._eof or rules.expects):
                keep_alive = self._may_keep()
            out = writer.first(data, more, exchange.line, keep_alive, server.defaults)
            server.responses[exchange.status // 100] += 1
        else:
            out = writer.body(data, more)
        if type(out) is tuple:
            self._written_bytes += len(out[0]) + len(out[1])
            self._transport.writelines(out)
        elif out:
            self._written_bytes += len(out)
            self._transport.write(out)  # type: ignore[arg-type]  # not a tuple, so bytes
        if not more:
            self._complete(exchange)

    def is_full(self) -> bool:
        # A transport that has met an error takes everything and tells us in the loop's next round only: an application
        # that never waits for anything else would never let that round begin.
        return self._full or self._transport.is_closing()

    def future(self) -> asyncio.Future[None]:
        return self._server.loop.create_future()

    def wanted(self, exchange: Exchange) -> None:
        self._body_wanted_at = self._server.now
        expects = cast(Head, self._head).rules.expects
        if expects and not self._continued and (exchange.phase is AWAITING_START or self._writer.is_held):
            self._continued = True
            self._write(CONTINUE)

    def taken(self) -> None:
        if self._paused and len(self._reader.held) <= HIGH_WATER:
            self._resume()

    def finished(self, exchange: Exchange | Session) -> None:
        if self.exchange is exchange:
            self.exchange = None
            if exchange.phase is not COMPLETE and self._mode == _OPEN:
                self._close()  # the client has hung up, and the application took notice
        else:
            self._server.background.discard(exchange)
            self._server.check_drained()

    def failed(self, exchange: Exchange | Session, error: BaseException) -> None:
        if not exchange.gone or not is_disconnect(error):
            self._server.log(
                "request.failed",
                method=exchange.line.method,
                path=exchange.scope["path"],
                traceback="".join(traceback.format_exception(error)),
            )
        if exchange.gone or exchange.phase is COMPLETE:
            return
        if exchange.phase is AWAITING_START or self._writer.is_held:
            exchange.status = 500
            exchange.sent_bytes = len(FAILURE)
            self._writer.start(500, [(b"content-type", b"text/plain; charset=utf-8")])
            self.respond(exchange, FAILURE, False)
            exchange.phase = COMPLETE
        else:
            self._cut()

    # The upgrade

    @property
    def server(self) -> Server:
        return self._server

    def hand_over(self, channel: Channel, head: bytes) -> None:
        """Answer with `head`, and give the transport to the channel with whatever came behind the request."""
        session = channel.session
        if self._mode != _OPEN or self._eof or session.gone:
            raise ClientDisconnected("the client has closed the connection")
        self._mode = _LOST
        self.exchange = None
        self._write(head)
        server = self._server
        session.status = 101
        server.responses[1] += 1
        server.count_response(session)
        del server.connections[self]
        if self._paused:
            self._resume()
        channel.take_over(self._transport, self._reader.held, self._full)

    # Ends

    def _complete(self, exchange: Exchange | Session) -> None:
        """The response is written; the application may still run."""
        server = self._server
        server.count_response(exchange)
        if self._writer.close:
            self._end()
            return
        self._since = server.now
        if exchange.received:
            if self._reader.held or self._eof or self._paused:
                self._next()
            else:
                self._reader.next()
        else:
            self._discarded = 0
            if self._paused:
                self._resume()
        if server.draining:
            server.close_later(self)

    def _next(self) -> None:
        """Go on to the next request; what is held of it is read from the loop, not from inside this one."""
        if self._mode != _OPEN:
            return
        self._reader.next()
        if self._reader.held:
            self._server.loop.call_soon(self._read_held)
        elif self._eof:
            self._shut()
        elif self._paused:
            self._resume()

    def _read_held(self) -> None:
        if self._mode == _OPEN:
            self.data_received(b"")
            if self._paused and len(self._reader.held) <= HIGH_WATER:
                self._resume()
            if self._eof and not self.is_busy:
                self._shut()

    def _end(self) -> None:
        """Close behind a response that announced it."""
        head = self._head
        if head is not None and not head.rules.keep_alive and not self._reader.held and not self._reader.is_in_body:
            self._mode = _SHUT  # the client wanted it so: it sends nothing more, and no reset can come of it
            self._close()
        else:
            self._shut()

    def _shut(self) -> None:
        """Half-close, and linger."""
        if self._mode != _OPEN:
            return
        self._mode = _SHUT
        transport = self._transport
        if self._eof or not transport.can_write_eof():
            self._close()
            return
        if self._paused:
            self._resume()
        transport.write_eof()
        self._server.loop.call_later(LINGER_S, self._linger_over)

    def _close(self) -> None:
        """Close behind what is written. TLS says goodbye both ways; a client that does not answer is not waited for."""
        self._transport.close()
        if self._tls is not None:
            self._loop.call_later(LINGER_S, self._linger_over)

    def _linger_over(self) -> None:
        if self._mode == _LOST:
            return
        transport = self._transport
        if transport.get_write_buffer_size() or (self._tls is not None and queued_bytes(transport, termios.TIOCOUTQ)):
            self._loop.call_later(LINGER_S, self._linger_over)  # not all is taken yet: write-timeout watches
        elif self._tls is not None:
            transport.abort()
        else:
            transport.close()

    def _cut(self) -> None:
        """End an incomplete response so that it cannot pass for a whole one."""
        self._mode = _SHUT
        if self.exchange is not None:
            self.exchange.leave()
        if self._writer.ends_by_close:
            # The end of the connection would be the end of the body: only a reset tells the difference
            sock = self._transport.get_extra_info("socket")
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self._transport.abort()
        else:
            self._close()

    def _refuse(self, refused: Refused) -> None:
        """Answer a request that may not be served with one plain line, and end."""
        server, writer, exchange = self._server, self._writer, self.exchange
        server.log("request.refused", status=refused.status, reason=refused.reason, client=str(self._peer))
        self._fresh = False
        if exchange is not None and exchange.phase is not COMPLETE:
            if exchange.phase is not AWAITING_START and not writer.is_held:
                self._cut()
                return
            if exchange.task is None:
                self.exchange = None  # refused in the same segment as its head: it never began
            exchange.leave()
        text = refused.reason.encode("ascii") + b"\n"
        writer.start(refused.status, [(b"content-type", b"text/plain; charset=utf-8"), *refused.fields])
        self._write(cast(bytes, writer.first(text, False, REFUSED_LINE, False, server.defaults)))
        server.count_refusal(refused.status, self._peer, len(text))
        self._shut()

    def abort(self) -> None:
        """Give everything up at once."""
        exchange = self.exchange
        if exchange is not None:
            exchange.leave()
            if exchange.task is not None:
                exchange.task.cancel()
        self._transport.abort()

    # Deadlines

    @property
    def is_busy(self) -> bool:
        """Whether a response is due."""
        return self.exchange is not None and self.exchange.phase is not COMPLETE

    @property
    def is_idle(self) -> bool:
        """Whether it is kept alive, with nothing begun."""
        return self._mode == _OPEN and not self.is_busy and self._head is not None and self._reader.is_between_requests

    def check(self, now: float) -> None:
        """Compare every instant with its deadline; called by the sweep."""
        settings = self._server.settings
        if self._is_stalled(now, settings.write_timeout):
            self.abort()
        elif self._mode != _OPEN:
            return
        elif self.is_busy:
            exchange = cast(Exchange, self.exchange)
            waits = self._body_wanted_at and not exchange.received and exchange.is_waiting
            if waits and now - self._body_wanted_at > settings.body_timeout:
                self._refuse(Refused(408, "request body timed out"))
        elif self._reader.is_in_body:
            if now - self._since > settings.body_timeout:
                self._shut()
        elif not self._reader.is_between_requests:
            if now - self._since > settings.header_timeout:
                self._refuse(Refused(408, "request head timed out"))
        elif self._head is None:
            if now - self._since > settings.header_timeout:
                self._close()
        elif now - self._since > settings.keep_alive:
            self.close_if_idle()

    def close_if_idle(self) -> None:
        """Shut a kept-alive connection, unless a request is in the kernel's buffer already: that one is served."""
        if self.is_idle and not self._has_pending_bytes():
            self._shut()

    def _is_stalled(self, now: float, timeout: float) -> bool:
        size = self._transport.get_write_buffer_size()
        taken = self._written_bytes - size
        if not size or taken != self._taken_bytes:
            self._taken_bytes = taken
            self._stalled_at = now
            return False
        return now - self._stalled_at > timeout

    def _may_keep(self) -> bool:
        """The rare reasons to end after a response, looked at when one of them may apply."""
        reader = self._reader
        if self._eof and not reader.held:
            return False
        if reader.is_in_body and cast(Head, self._head).rules.expects and not self._continued:
            return False  # RFC 9110 10.1.1: the client may send the body or not, so the next bytes mean nothing
        if self._server.announcing:
            # A next request that has come already must be answered, and behind an announced close it could not be
            return not reader.is_in_body and (bool(reader.held) or self._has_pending_bytes())
        return True

    def _has_pending_bytes(self) -> bool:
        """Whether the kernel holds bytes for us that the loop has not read (FIONREAD, on Linux also SIOCINQ)."""
        return queued_bytes(self._transport, termios.FIONREAD) > 0

    # Bytes

    def _write(self, out: bytes) -> None:
        self._written_bytes += len(out)
        self._transport.write(out)

    def _pause(self) -> None:
        if not self._paused:
            self._paused = True
            self._transport.pause_reading()

    def _resume(self) -> None:
        self._paused = False
        if not self._transport.is_closing():
            self._transport.resume_reading()


FAILURE: Final = b"Internal Server Error\n"
REFUSED_LINE: Final = RequestLine("GET", "1.1", None, True, "-", {})
"""Stands for the request line that could not be had."""


def queued_bytes(transport: asyncio.Transport, queue: int) -> int:
    """What the kernel holds of a connection: to be read (FIONREAD), or not yet taken by the peer (TIOCOUTQ)."""
    size = array.array("i", [0])
    try:
        fcntl.ioctl(transport.get_extra_info("socket").fileno(), queue, size)
    except (OSError, ValueError):  # the socket is closed already
        return 0
    return size[0]


def _address(peer: object) -> Address | None:
    """Host and port of a socket's name; None for a Unix socket without one, (path, None) for one with."""
    if isinstance(peer, tuple):
        return str(peer[0]), int(peer[1])
    return (peer, None) if isinstance(peer, str) and peer else None


def is_disconnect(error: BaseException) -> bool:
    """Whether this is our own ClientDisconnected, cancellation after it, or what a framework made of it."""
    seen: BaseException | None = error
    for _ in range(8):
        if isinstance(seen, (ClientDisconnected, asyncio.CancelledError)):
            return True
        if seen is None:
            return False
        seen = seen.__cause__ or seen.__context__
    return False
