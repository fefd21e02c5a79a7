"""An exchange that a thread of the pool runs, and its connection, whose other half is the event loop's.

One lock for each connection. The loop holds it while it reads, judges deadlines or ends the connection; a thread, while
it takes a part of the body or sends a part of the response. So whatever the loop does to a request (408, 504, a reset)
happens between two parts, and a descriptor is never closed, and given to another client, under a thread that writes.

The thread writes to the socket itself. What the kernel does not take, all that goes out over TLS, and the end of the
response are posted to the loop: counting it, the next request and the drain are the loop's.
"""

from __future__ import annotations

import _thread
from time import monotonic
from typing import TYPE_CHECKING

from server_core.asgi.response_states import AWAITING_START, COMPLETE, STREAMING
from server_core.http1.pipelining import HIGH_WATER
from server_core.http1.writer import CONTINUE
from server_core.http1.wsgi_connection import WsgiConnection
from server_core.http1.wsgi_exchange import WsgiExchange, gone
from server_core.http1.wsgi_site import Site
from server_core.http1.wsgi_stream import SharedStream
from server_core.transport.closing import OPEN
from server_core.wsgi.threads import Returns, new_lock, new_rlock

if TYPE_CHECKING:
    from server_core.asgi.http_exchange import Exchange
    from server_core.connection.context import ServerContext
    from server_core.http.message import Head
    from server_core.http1.shared import Http1Shared
    from server_core.wsgi.response import ResponseHead
    from server_core.wsgi.stuck import StuckThreads
    from server_core.wsgi.types import Environ, WsgiApplication


class ThreadedExchange(WsgiExchange):
    """One request, run by a thread."""

    __slots__ = ("_is_settled", "_posted", "_posted_bytes", "_waiter", "error", "has_returned", "wants_body")

    connection: ThreadedConnection
    served: ThreadedSite

    def __init__(
        self, connection: ThreadedConnection, served: ThreadedSite, asgi: Exchange, head: Head, environ: Environ
    ) -> None:
        super().__init__(connection, served, asgi, head, environ)
        self.error: BaseException | None = None
        self.has_returned = self._is_settled = self.wants_body = False
        self._waiter: _thread.LockType | None = None
        self._posted: list[bytes] = []  # what the loop is to write, behind what the kernel has taken
        self._posted_bytes = 0

    # In the loop's thread

    @property
    def is_waiting(self) -> bool:
        return not self.is_launched or self.wants_body

    def launch(self) -> None:
        self.is_running = True
        self.stream.flush()
        self.served.pool.submit(self)

    def wake(self) -> None:
        """Let the thread look again, or a file go on."""
        WsgiExchange.wake(self)  # and no super(), which compiled code would look up
        waiter, self._waiter = self._waiter, None
        if waiter is not None:
            waiter.release()

    def settle(self) -> None:
        """Do what a thread has left to the loop."""
        connection = self.connection
        with connection.lock:
            self.settle_response()
            if self.has_returned and self.is_running:
                self.is_running = False
                error, self.error = self.error, None
                self._is_settled = self._is_settled or self._file is not None
                self.end(error)

    def settle_response(self) -> None:
        """Write what is posted, and if that is all of the response, go on to the next request. With the lock."""
        connection = self.connection
        if self._posted:
            parts, self._posted, self._posted_bytes = self._posted, [], 0
            for part in parts:
                connection.transport.write(part)
            self.wake()
        if self.phase is COMPLETE and not self._is_settled:
            self._is_settled = True
            if self.stream.exchange is self and connection.mode == OPEN:
                connection.server.responses[self.status] += 1
                connection.complete(self)

    def read_on(self) -> None:
        """Let the connection go on reading. In C a method of another object is not to be passed on."""
        self.connection.read_on()

    # In the pool's thread

    def work(self) -> None:
        """Job."""
        if not self.gone:
            self.error = self.served.new_context().run(self.respond)
        self.has_returned = True
        self.served.returns.post(self.settle)

    def put_hint(self, out: bytes) -> None:
        with self.connection.lock:
            if not self.gone and self.connection.mode == OPEN:
                self._put(out)

    def emit(self, head: ResponseHead | None, data: bytes, more: bool) -> None:
        connection = self.connection
        with connection.lock:
            if self.gone or connection.mode != OPEN:
                raise gone()
            writer = self.stream.writer
            out = writer.body(data, more) if head is None else self._begin_response(head, data, more)
            self.sent_bytes += len(data)
            self._put(out)
            self.phase = STREAMING if more else COMPLETE
        if more:
            self._wait_for_room()

    def _begin_response(self, head: ResponseHead, data: bytes, more: bool) -> bytes | tuple[bytes, bytes]:
        connection, stream = self.connection, self.stream
        writer, server, request = stream.writer, connection.server, stream.head
        writer.start(head.text, head.fields)
        if stream.request_ids is not None:
            writer.add(stream.request_ids.name, stream.request_ids.line(request.request_id))  # type: ignore[union-attr]  # there is one
        keep_alive = request.rules.keep_alive  # type: ignore[union-attr]  # as above
        if keep_alive and (server.announcing or connection.half_closed or not self.received):
            keep_alive = connection.may_keep()
        out = writer.first(data, more, self.line, keep_alive, stream.shared.defaults)
        self.status = head.status
        return out

    def _put(self, out: bytes | tuple[bytes, bytes]) -> None:
        """Send, or post to the loop what cannot be sent now."""
        connection = self.connection
        size = len(out) if isinstance(out, bytes) else len(out[0]) + len(out[1])
        sent, transport = 0, connection.transport
        if size and not self._posted and isinstance(transport, SharedStream):
            sent = transport.offer(out)
        if sent == size:
            return
        rest = (out if isinstance(out, bytes) else b"".join(out))[sent:]
        self._posted.append(rest)
        self._posted_bytes += len(rest)
        self.served.returns.post(self.settle)

    def _wait_for_room(self) -> None:
        connection = self.connection
        while connection.full or self._posted_bytes > HIGH_WATER:
            with connection.lock:
                if self.gone or connection.mode != OPEN:
                    raise gone()
                if not connection.full and self._posted_bytes <= HIGH_WATER:
                    return
                waiter = self._new_waiter()
            waiter.acquire()

    def take(self, limit: int) -> bytes:
        connection = self.connection
        while True:
            with connection.lock:
                part = self._pop(limit)
                if part:
                    if connection.reading.is_paused and not self.is_full:
                        self.served.returns.post(self.read_on)
                    return part
                if self.received:
                    return b""
                if self.gone or connection.mode != OPEN:
                    raise gone()
                self._ask_for_body()
                waiter = self._new_waiter()
            waiter.acquire()
            self.wants_body = False

    def _ask_for_body(self) -> None:
        connection, stream = self.connection, self.stream
        stream.body_wanted_at = connection.server.now
        self.wants_body = True
        expects = stream.head.rules.expects  # type: ignore[union-attr]  # there is one
        if expects and not stream.continued and self.phase is AWAITING_START:
            stream.continued = True
            self._put(CONTINUE)
        if connection.reading.is_paused:
            self.served.returns.post(self.read_on)

    def _new_waiter(self) -> _thread.LockType:
        waiter = new_lock()
        waiter.acquire()
        self._waiter = waiter
        return waiter


class ThreadedConnection(WsgiConnection):
    """What one client's transport serves; whatever the loop calls here holds the lock."""

    __slots__ = ("lock",)

    def __init__(
        self, site: ThreadedSite, server: ServerContext, shared: Http1Shared, peer: object, own: object
    ) -> None:
        super().__init__(site, server, shared, peer, own)
        self.lock = new_rlock()

    def data_received(self, data: bytes) -> None:
        with self.lock:
            self._settle()
            WsgiConnection.data_received(self, data)

    def eof_received(self) -> bool:
        with self.lock:
            self._settle()
            return super().eof_received()

    def connection_lost(self, error: Exception | None) -> None:
        with self.lock:
            self._settle()
            super().connection_lost(error)

    def _settle(self) -> None:
        """Go on behind a response that a thread has completed, if the loop has not yet been told."""
        exchange = self.stream.exchange
        if isinstance(exchange, ThreadedExchange) and exchange.phase is COMPLETE:
            exchange.settle_response()

    def resume_writing(self) -> None:
        with self.lock:
            super().resume_writing()

    def check(self, now: float) -> None:
        with self.lock:
            super().check(now)

    def close_if_idle(self) -> None:
        with self.lock:
            super().close_if_idle()

    def abort(self) -> None:
        with self.lock:
            super().abort()

    def read_on(self) -> None:
        with self.lock:
            if self.mode == OPEN:
                WsgiConnection.read_on(self)

    def close(self) -> None:
        with self.lock:
            super().close()


class ThreadedSite(Site):
    """A WSGI application as one server serves it by a pool of threads."""

    stream = SharedStream
    multithread = True

    def __init__(
        self,
        app: WsgiApplication,
        server: ServerContext,
        shared: Http1Shared,
        watch: StuckThreads,
        *,
        is_one_of_several: bool,
    ) -> None:
        super().__init__(app, server, shared, is_one_of_several=is_one_of_several)
        self.pool, self.returns, self._watch = watch.pool, Returns(server.loop), watch
        server.counters.follow("threads", lambda: self.pool.size)
        server.counters.follow("threads_busy", lambda: len(self.pool.running))
        server.counters.follow("threads_queued", lambda: self.pool.queued)

    def connect(self, peer: object, own: object) -> ThreadedConnection:
        return ThreadedConnection(self, self._server, self._shared, peer, own)

    def exchange(self, connection: WsgiConnection, asgi: Exchange, head: Head, environ: Environ) -> WsgiExchange:
        assert isinstance(connection, ThreadedConnection)
        return ThreadedExchange(connection, self, asgi, head, environ)

    def run(self, exchange: WsgiExchange) -> None:
        if self.limit and len(self.pool.running) + self.pool.queued >= self.limit:
            self.refuse(exchange)
        else:
            exchange.launch()

    def sweep(self) -> None:
        self._watch.look(monotonic())

    def close(self) -> None:
        self.pool.close()
