"""One client's connection: bytes in and out, deadlines, backpressure, and how it ends.

It is the sink of a request reader and the outlet of one exchange at a time. Whatever waits here has a deadline, but
there is no timer per request: a connection stores coarse instants, and the server's sweep compares them.

Length: transport, reader and exchange meet here; what requests rarely need is in this folder, and knows interface.py.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final, cast

from server_core.asgi.call import Call
from server_core.asgi.http_exchange import Exchange, HttpStream
from server_core.asgi.response_states import AWAITING_START, COMPLETE
from server_core.asgi.scope import base_of, build
from server_core.connection.context import FASTEST_S
from server_core.connection.write_progress import Progress
from server_core.http.message import Head, RequestRejected
from server_core.http1.disconnect_grace import watch
from server_core.http1.error_response import fail, record_cut, refuse
from server_core.http1.eviction_rank import rank
from server_core.http1.extras import send_early_hints, send_trailers
from server_core.http1.file_transfer import FileTransfer
from server_core.http1.keep_alive import hear_end, is_last_word, may_keep
from server_core.http1.pipelining import HIGH_WATER, hold_back, is_enough, read_next
from server_core.http1.push_stream import push_end
from server_core.http1.reader import H1Reader
from server_core.http1.timeouts import check
from server_core.http1.writer import CONTINUE
from server_core.runtime.server_loop import NewTask
from server_core.transport import syscalls
from server_core.transport.closing import LOST, OPEN, SHUT, LingeringClose
from server_core.transport.read_control import ReadControl
from server_core.transport.socket_info import TO_READ, address, queued_bytes
from server_core.transport.write_coalescer import NEXT_ANSWER, ONE_TURN, WriteCoalescer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from server_core.asgi.file_range import FilePart
    from server_core.asgi.websocket_session import WebSocketExchange
    from server_core.connection.context import ServerContext
    from server_core.http1.shared import Http1Shared
    from server_core.proxy.request_id import Build, RequestIds
    from server_core.transport.base import Transport

STREAK_LIMIT: Final = 32
"""Parts of a response's body that are written before the loop has a turn. Chosen: of 64 KiB each they take about 1 ms
to write, and a turn for each 32 costs 0.3 us a part (measured, 2 cores, CPython 3.11, a transport to nowhere)."""


class Http1Connection(HttpStream):
    """What one client's transport serves (transport.Newcomer)."""

    __slots__ = (
        *("_base", "_coalescer", "_loop", "_own", "_streak", "_tls", "_trusted", "body_wanted_at", "writer"),
        *("build", "continued", "discarded", "ending", "exchange", "fresh", "full", "half_closed", "head", "mode"),
        *("peer", "progress", "reader", "request_ids", "server", "shared", "reading", "since", "transport", "waiting"),
    )

    transport: Transport

    def __init__(self, server: ServerContext, shared: Http1Shared, peer: object, own: object = None) -> None:
        self.server, self.shared = server, shared
        self.peer = peer
        self._own = own  # the address that the client connected to, where that is not the socket's
        self.mode = OPEN
        self._trusted = -1  # whether the peer is believed: not known before it says something
        self.reader = H1Reader(shared.headers, shared.lines, server.settings, self)
        self.writer = shared.new_writer(shared.heads)
        self.build: Build = build
        self.request_ids: RequestIds | None = None
        self._loop = server.loop
        self.head: Head | None = None
        self.exchange: Exchange | WebSocketExchange | None = None
        self.fresh = self.continued = self.full = self.half_closed = False
        self.discarded = self._streak = self.waiting = 0
        self._coalescer: WriteCoalescer | None = None
        self.progress = Progress(server.now)
        self.since, self.body_wanted_at = server.loop.time(), 0.0

    # The transport's side

    def connection_made(self, transport: Transport) -> None:
        server = self.server
        self.transport = transport
        if (request_ids := server.origin.request_ids) is not None:
            self._trusted = server.origin.trusted.trusts(self.peer)
            self.request_ids, self.build = request_ids, request_ids.builder(self._trusted > 0)
        tls = server.tls
        connected = transport.get_extra_info("ssl_object") if tls is not None else None
        self._tls = tls.describe(connected) if tls is not None and connected is not None else None
        self.reading = ReadControl(self.transport)
        self.ending = LingeringClose(self.transport, server, self._tls is not None)
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
            refuse(self, refused)
            return
        if self.fresh:
            self.fresh = False
            if reader.held:
                hold_back(self, len(data))
            exchange = self.exchange
            server = self.server
            run = exchange.run(server.app)  # type: ignore[union-attr]  # begin() set it
            exchange.task = NewTask(run, loop=server.asyncio_loop, name="request", context=server.new_context())  # type: ignore[union-attr]  # as above
        elif reader.held:
            if len(reader.held) <= len(data) and self.head is not None:
                self.since = self.server.now  # a next request's first bytes; the first one's deadline began at accept
            hold_back(self, len(data))

    def eof_received(self) -> bool:
        return hear_end(self)

    def connection_lost(self, error: Exception | None) -> None:  # noqa: ARG002 - asyncio's signature
        self.mode = LOST
        self.reader.close()
        self.ending.lose()
        exchange, self.exchange = self.exchange, None
        if exchange is not None:
            self.server.registry.background.add(exchange)
            exchange.leave()
            record_cut(self, exchange)
        self.server.registry.remove(self)

    def pause_writing(self) -> None:
        self.full = True

    def resume_writing(self) -> None:
        self.full = False
        if self.exchange is not None:
            self.exchange.wake()

    # The reader's sink

    def begin(self, head: Head) -> None:
        server = self.server
        scope = self.build(self._base, head, server.state)
        if self._tls is not None:
            cast("dict[str, object]", scope["extensions"])["tls"] = self._tls.copy()
        if head.forwarded:
            if self._trusted < 0:
                self._trusted = server.origin.trusted.trusts(self.peer)
            if self._trusted:
                server.origin.amend(scope, head)
        if self.exchange is not None:
            server.registry.background.add(self.exchange)  # answered, but the application still runs
        server.requests_total += 1
        if server.requests_total == server.max_requests:
            server.reach_max_requests()
        self.head = head
        self.continued = False
        self.fresh = True
        if head.rules.upgrade and (session := self.shared.upgrade(self, head, scope)) is not None:
            self.exchange = session
            return
        self.exchange = Exchange(self, scope, head, syscalls.monotonic())

    def body(self, data: bytes) -> None:
        exchange = self.exchange
        if exchange is None or exchange.phase is COMPLETE:
            self.discarded += len(data)
            self.body_wanted_at = self.server.now
            return
        self.body_wanted_at = 0.0
        exchange.body = exchange.body + data if exchange.body else data
        if exchange.is_waiting:
            exchange.wake()
        if len(exchange.body) > HIGH_WATER:
            self.reading.pause()

    def end(self) -> None:
        exchange = self.exchange
        if exchange is None or exchange.phase is COMPLETE:
            self.since = self.server.now
            self.body_wanted_at = 0.0
            read_next(self)
            return
        exchange.received = True
        if exchange.is_waiting:
            exchange.wake()

    # The exchange's outlet

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
        writer = self.writer
        out: bytes | tuple[bytes, bytes]
        if writer.is_held:
            rules, server = self.head.rules, self.server  # type: ignore[union-attr]  # begin() set it
            keep_alive = rules.keep_alive
            if keep_alive and (server.announcing or self.half_closed or not call.received):
                keep_alive = may_keep(self)
            out = writer.first(data, more, call.line, keep_alive, self.shared.defaults)
            server.responses[call.status] += 1
        else:
            out = writer.body(data, more)
        if writer.close and not more and self._tls is not None:
            self.transport.hold()  # type: ignore[attr-defined]  # a TlsTransport, which complete() will close
        if more or self.reader.held or self._coalescer is not None:
            self._gather(out, ONE_TURN if more else NEXT_ANSWER)
        elif type(out) is tuple:
            self.progress.written_bytes += len(out[0]) + len(out[1])
            self.transport.writelines(out)
        elif out:
            self.progress.written_bytes += len(out)
            self.transport.write(out)  # type: ignore[arg-type]  # not a tuple, so bytes
        if not more:
            if self._coalescer is not None and not self.reader.held:
                self._coalescer.flush()
                self._coalescer = None
            self.complete(call)

    def _gather(self, out: bytes | tuple[bytes, bytes], turns: int) -> None:
        """Write a part of what goes on, together with what else comes before the loop has turned so often."""
        if self._coalescer is None:
            self._coalescer = WriteCoalescer(self._loop, self._write)
        for part in out if type(out) is tuple else (out,):
            if part:
                self._coalescer.add(part, turns)  # type: ignore[arg-type]  # bytes, as above

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
        return self.full or self.transport.is_closing()

    def _breathe(self) -> None:
        if self.exchange is not None:
            self.exchange.wake()

    def future(self) -> asyncio.Future[None]:
        return self.server.loop.create_future()

    def body_requested(self, exchange: Exchange) -> None:
        self.body_wanted_at = self.server.now
        if (
            cast(Head, self.head).rules.expects
            and not self.continued
            and (exchange.phase is AWAITING_START or self.writer.is_held)
        ):
            self.continued = True
            self.write(CONTINUE)

    def body_consumed(self) -> None:
        if self.reading.is_paused and not is_enough(self):
            self.reading.resume()

    def finished(self, call: Call) -> None:
        if self.exchange is call:
            self.exchange = None
            if call.phase is not COMPLETE:
                record_cut(self, call)
                if self.mode == OPEN:
                    self.close()  # the client has hung up, and the application took notice
        else:
            self.server.registry.end_call(call)

    def failed(self, call: Call, error: BaseException) -> None:
        fail(self, call, error)

    # Ends

    def complete(self, call: Call) -> None:
        server = self.server
        duration = syscalls.monotonic() - call.started_at
        if duration <= FASTEST_S:  # count_duration(), without the call
            server.latency[0] += 1
            server.latency_sum_s += duration
        else:
            server.count_duration(duration)
        if server.access_log is not None:
            server.access_log.record_response(call, duration, self.writer, self.head)
        if self.writer.close:
            if is_last_word(self):
                self.close()
            else:
                self.shut()
            return
        self.since = server.now
        if call.received:
            if self.reader.held or self.half_closed or self.reading.is_paused:
                read_next(self)
            else:
                self.reader.next()
        else:
            self.discarded = 0
            self.body_wanted_at = server.now
            self.reading.resume()
        if server.draining:
            server.close_later(self)

    def shut(self) -> None:
        if self.mode == OPEN:
            self.flush()
            self.mode = SHUT
            self.reading.resume()
            self.ending.shut(self.half_closed)

    def close(self) -> None:
        self.flush()
        self.mode = SHUT
        self.ending.close()

    def close_if_idle(self) -> None:
        """Shut a kept-alive connection, unless a request is in the kernel's buffer already: that one is served."""
        if self.is_idle and not self.has_unread():
            self.shut()

    def evict(self) -> None:
        self.ending.abort()

    def push_end(self) -> Callable[[], object] | None:
        return push_end(self)

    def abort(self) -> None:
        exchange = self.exchange
        if exchange is not None:
            exchange.leave()
            if exchange.task is not None:
                exchange.task.cancel()
        self.ending.abort()

    # What the server asks (connection.interface.ManagedConnection)

    def calls(self) -> tuple[Call, ...]:
        exchange = self.exchange
        return () if exchange is None else (exchange,)

    def has_unread(self) -> bool:
        return bool(queued_bytes(self.transport, TO_READ))

    def eviction_rank(self, now: float) -> tuple[int, float]:
        return rank(self, now)

    @property
    def is_busy(self) -> bool:
        return self.exchange is not None and self.exchange.phase is not COMPLETE

    @property
    def is_idle(self) -> bool:
        return self.mode == OPEN and not self.is_busy and self.head is not None and self.reader.is_between_requests

    @property
    def is_open(self) -> bool:
        return self.mode == OPEN

    def check(self, now: float) -> None:
        check(self, now, self.server.settings)

    def write(self, out: bytes) -> None:
        self.flush()
        self._write(out)

    def flush(self) -> None:
        if self._coalescer is not None:
            self._coalescer.flush()

    def _write(self, out: bytes) -> None:
        self.progress.written_bytes += len(out)
        self.transport.write(out)
