"""One client's connection: bytes that come, reading on and off, deadlines, keep-alive, and how it ends.

It is the sink of a request reader, and has one stream, which answers one request at a time (stream.py). There is no
timer per request: a connection stores coarse instants, and the server's sweep compares them (sweep.py).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from server_core.asgi.errors import ClientDisconnected
from server_core.asgi.http_exchange import Exchange
from server_core.asgi.response_states import COMPLETE
from server_core.asgi.scope import base_of, build
from server_core.connection.context import FASTEST_S
from server_core.connection.write_progress import Progress
from server_core.http.message import RequestRejected
from server_core.http1.error_response import record_cut, refuse
from server_core.http1.half_close import keeps_half
from server_core.http1.keep_alive import is_last_word, may_keep
from server_core.http1.pipelining import HIGH_WATER, hold_back, is_enough, read_next
from server_core.http1.push_stream import push_end
from server_core.http1.reader import H1Reader
from server_core.http1.stream import Carrier, Http1Stream
from server_core.http1.sweep import check, rank
from server_core.runtime.server_loop import NewTask
from server_core.transport import syscalls
from server_core.transport.closing import LOST, OPEN, SHUT, LingeringClose
from server_core.transport.read_control import ReadControl
from server_core.transport.socket_info import TO_READ, address, queued_bytes

if TYPE_CHECKING:
    from collections.abc import Callable

    from server_core.asgi.call import Call
    from server_core.asgi.websocket_session import WebSocketExchange
    from server_core.connection.context import ServerContext
    from server_core.http.message import Head
    from server_core.http1.shared import Http1Shared
    from server_core.proxy.request_id import Build
    from server_core.transport.base import Transport


class Http1Connection(Carrier):
    """What one client's transport serves (transport.Newcomer)."""

    __slots__ = (
        *("_base", "_own", "_tls", "_trusted", "build", "discarded", "ending", "fresh", "mode", "peer"),
        *("progress", "reader", "reading", "server", "shared", "since", "stream", "transport", "waiting"),
    )

    def __init__(self, server: ServerContext, shared: Http1Shared, peer: object, own: object = None) -> None:
        self.server, self.shared = server, shared
        self.peer = peer
        self._own = own  # the address that the client connected to, where that is not the socket's
        self.mode = OPEN
        self._trusted = -1  # whether the peer is believed: not known before it says something
        self.reader = H1Reader(shared.headers, shared.lines, server.settings, self)
        self.build: Build = build
        self.fresh = self.full = self.half_closed = False
        self.discarded = self.waiting = 0
        self.since, self.progress = server.loop.time(), Progress(server.now)

    # The transport's side

    def connection_made(self, transport: Transport) -> None:
        server = self.server
        self.transport = transport
        if (request_ids := server.origin.request_ids) is not None:
            self._trusted = server.origin.trusted.trusts(self.peer)
            self.build = request_ids.builder(self._trusted > 0)
        tls = server.tls
        connected = transport.get_extra_info("ssl_object") if tls is not None else None
        self._tls = tls.describe(connected) if tls is not None and connected is not None else None
        self.reading, self.ending = ReadControl(transport), LingeringClose(transport, server)
        self.stream: Http1Stream = Http1Stream(self, server, self.shared, request_ids)
        own = address(self._own or transport.get_extra_info("sockname"))
        self._base = base_of(address(self.peer), own, is_secure=self._tls is not None)
        server.connections[self] = None

    def data_received(self, data: bytes) -> None:
        if self.mode != OPEN:
            return  # shut: read only so that the kernel does not answer with a reset
        reader = self.reader
        try:
            reader.feed(data)
        except RequestRejected as refused:
            refuse(self.stream, refused)
            return
        if self.fresh:
            self.fresh = False
            if reader.held:
                hold_back(self, len(data))
            exchange = self.stream.exchange
            server = self.server
            run = exchange.run(server.app)  # type: ignore[union-attr]  # begin() set it
            exchange.task = NewTask(run, loop=server.asyncio_loop, name="request", context=server.new_context())  # type: ignore[union-attr]  # as above
        elif reader.held:
            if len(reader.held) <= len(data) and self.stream.head is not None:
                self.since = self.server.now  # a next request's first bytes; the first one's deadline began at accept
            hold_back(self, len(data))

    def eof_received(self) -> bool:
        if self.mode != OPEN:
            return False
        self.half_closed = True
        return keeps_half(self)

    def connection_lost(self, error: Exception | None) -> None:  # noqa: ARG002 - asyncio's signature
        exchange = self._release()
        if exchange is not None:
            self.server.registry.background.add(exchange)
            exchange.leave()
            record_cut(self.stream, exchange)
        self.server.registry.remove(self)

    def _release(self) -> Exchange | WebSocketExchange | None:
        """Let go of the transport, and of what knows this connection; returns the call that it had."""
        self.mode = LOST
        self.reader.close()
        self.ending.lose()
        return self.stream.lose()

    def pause_writing(self) -> None:
        self.full = True

    def resume_writing(self) -> None:
        self.full = False
        if self.stream.exchange is not None:
            self.stream.exchange.wake()

    # The reader's sink

    def begin(self, head: Head) -> None:
        server, stream = self.server, self.stream
        scope = self.build(self._base, head, server.state)
        if self._tls is not None:
            cast("dict[str, object]", scope["extensions"])["tls"] = self._tls.copy()
        if head.forwarded:
            if self._trusted < 0:
                self._trusted = server.origin.trusted.trusts(self.peer)
            if self._trusted:
                server.origin.amend(scope, head)
        if stream.exchange is not None:
            server.registry.background.add(stream.exchange)  # answered, but the application still runs
        server.requests_total += 1
        if server.requests_total == server.max_requests:
            server.reach_max_requests()
        stream.head = head
        stream.continued = False
        self.fresh = True
        if head.rules.upgrade and (session := self.shared.upgrade(self, head, scope)) is not None:
            stream.exchange = session
            return
        stream.exchange = Exchange(stream, scope, head, syscalls.monotonic())

    def body(self, data: bytes) -> None:
        stream = self.stream
        exchange = stream.exchange
        if exchange is None or exchange.phase is COMPLETE:
            self.discarded += len(data)
            stream.body_wanted_at = self.server.now
            return
        stream.body_wanted_at = 0.0
        exchange.body = exchange.body + data if exchange.body else data
        if exchange.is_waiting:
            exchange.wake()
        if len(exchange.body) > HIGH_WATER:
            self.reading.pause()

    def end(self) -> None:
        exchange = self.stream.exchange
        if exchange is None or exchange.phase is COMPLETE:
            self.since = self.server.now
            self.stream.body_wanted_at = 0.0
            read_next(self)
            return
        exchange.received = True
        if exchange.is_waiting:
            exchange.wake()

    # What its stream asks

    def complete(self, call: Call) -> None:
        server, stream = self.server, self.stream
        duration = syscalls.monotonic() - call.started_at
        if duration <= FASTEST_S:  # count_duration(), without the call
            server.latency[0] += 1
            server.latency_sum_s += duration
        else:
            server.count_duration(duration)
        if server.access_log is not None:
            server.access_log.record_response(call, duration, stream.writer, stream.head)
        if stream.writer.close:
            (self.close if self._is_last_word() else self.shut)()
            return
        self.since = server.now
        if call.received:
            if self.reader.held or self.half_closed or self.reading.is_paused:
                read_next(self)
            else:
                self.reader.next()
        else:
            self.discarded = 0
            stream.body_wanted_at = server.now
            self.reading.resume()
        if server.draining:
            server.close_later(self)

    def _is_last_word(self) -> bool:
        rules, reader = cast("Head", self.stream.head).rules, self.reader
        return is_last_word(keep_alive=rules.keep_alive, has_next=bool(reader.held), body_left=reader.body_left)

    def may_keep(self) -> bool:
        reader, stream, announcing = self.reader, self.stream, self.server.announcing
        return may_keep(
            half_closed=self.half_closed,
            announcing=announcing,
            has_next=bool(reader.held) or (announcing and self.has_unread()),
            body_left=reader.body_left,
            awaits_continue=cast("Head", stream.head).rules.expects and not stream.continued,
        )

    def read_on(self) -> None:
        if self.reading.is_paused and not is_enough(self):
            self.reading.resume()

    # Ends

    def detach(self) -> tuple[Transport, bytes]:
        exchange, held = self.stream.exchange, self.reader.held
        if self.mode != OPEN or self.half_closed or exchange is None or exchange.gone:
            raise ClientDisconnected("the client has closed the connection")
        self.stream.flush()
        self.reading.resume()
        self._release()
        return self.transport, held

    def shut(self) -> None:
        if self.mode == OPEN:
            self.stream.flush()
            self.mode = SHUT
            self.reading.resume()
            self.ending.shut(self.half_closed)

    def close(self) -> None:
        self.stream.flush()
        self.mode = SHUT
        self.ending.close()

    def cut(self, by_reset: bool) -> None:
        self.mode = SHUT
        self.ending.cut(by_reset)

    def close_if_idle(self) -> None:
        """Shut a kept-alive connection, unless a request is in the kernel's buffer already: that one is served."""
        if self.is_idle and not self.has_unread():
            self.shut()

    def evict(self) -> None:
        self.ending.abort()

    def push_end(self) -> Callable[[], object] | None:
        return push_end(self.stream)

    def abort(self) -> None:
        exchange = self.stream.exchange
        if exchange is not None:
            exchange.leave()
            if exchange.task is not None:
                exchange.task.cancel()
        self.ending.abort()

    # What the server asks (connection.interface.ManagedConnection)

    def calls(self) -> tuple[Call, ...]:
        exchange = self.stream.exchange
        return () if exchange is None else (exchange,)

    def has_unread(self) -> bool:
        return bool(queued_bytes(self.transport, TO_READ))

    def eviction_rank(self, now: float) -> tuple[int, float]:
        return rank(self, now)

    @property
    def is_busy(self) -> bool:
        return self.stream.is_busy

    @property
    def is_idle(self) -> bool:
        stream = self.stream
        return self.mode == OPEN and not stream.is_busy and stream.head is not None and self.reader.is_between_requests

    @property
    def is_open(self) -> bool:
        return self.mode == OPEN

    def check(self, now: float) -> None:
        check(self, now)
