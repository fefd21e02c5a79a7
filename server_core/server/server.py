"""The server of one process: listeners in, connections served, one sweep for all deadlines, and the drain.

Draining.   A kept-alive client may send its next request at any moment, and a connection closed under it loses that
            request. So idle connections stay readable for a while, each closes at its own moment, and the kernel is
            asked for unread bytes just before (see contrib/docs/DESIGN.md, Drain).

Length: what all connections share (settings, figures, the drain) is one object to them; accepting is in
listen/acceptor.py.
"""

from __future__ import annotations

import asyncio
import random
import socket
from collections.abc import Callable, Coroutine, Mapping
from functools import partial

from server_core.access_log.record import Place
from server_core.asgi.concurrency_limit import ConcurrencyLimit
from server_core.asgi.extensions import NOTHING
from server_core.asgi.http_exchange import Application
from server_core.connection.context import ServerContext
from server_core.connection.drain import Partings
from server_core.connection.failure_log import FailureLog
from server_core.connection.interface import ManagedConnection
from server_core.contract.figures import Figures
from server_core.contract.scoreboard import InFlight
from server_core.http1.connection import Http1Connection
from server_core.http1.held_heads import HeldHeads
from server_core.http1.shared import Http1Shared
from server_core.listen.acceptor import Acceptor, Adopt
from server_core.listen.connection_limit import ConnectionLimit
from server_core.listen.fair_accept import FairAccept
from server_core.listen.pending_connection import shake_hands
from server_core.log import Log
from server_core.proxy.forwarding import ForwardedHeaders
from server_core.proxy.protocol_filter import ProxyProtocolFilter
from server_core.runtime.server_loop import ServerLoop
from server_core.server.access_log import open_log, writer_for
from server_core.settings.declaration import ServerSettings
from server_core.tls.termination import Tls
from server_core.transport.base import Newcomer
from server_core.transport.poller import new_poller
from server_core.transport.socket_transport import SocketTransport
from server_core.websocket.upgrade import upgrade
from server_core.wsgi.errors import LOG
from server_core.wsgi.middleware import WSGIMiddleware
from server_core.wsgi.served import ALARM, Alarm, Serving


class Server(ServerContext):
    """Serves `app` on the listeners it is given. Every method is for the loop's thread, but in_flight()."""

    _drained: asyncio.Future[None] | None = None
    _on_left: Callable[[], object] | None = None

    def __init__(
        self,
        app: Application,
        settings: ServerSettings,
        loop: asyncio.AbstractEventLoop,
        *,
        log: Log,
        state: Mapping[str, object] | None = None,
        on_max_requests: Callable[[str], None] | None = None,
        tls: Tls | None = None,
        place: Place | None = None,
        loads: FairAccept | None = None,
        extensions: Mapping[str, object] = NOTHING,
        alarm: Alarm = ALARM,
    ) -> None:
        with_log = LOG.set(log)  # in the context that all requests get a copy of
        super().__init__(ServerLoop(loop))
        LOG.reset(with_log)
        self.settings, self.log, self.state, self.tls = settings, log, state, tls
        self.app = self._limited(app)
        self.origin = ForwardedHeaders(settings)
        self.failures = FailureLog(log, has_ids=self.origin.request_ids is not None)
        self.access_log = open_log(settings, log, place)
        self.http1 = self._share(extensions)
        self.poller = new_poller(self.loop, self.http1.held_heads.expect)
        self.background = self.registry.background
        self.max_requests = _with_jitter(settings)
        self._on_max_requests = on_max_requests
        self.reach_max_requests = self._reach_max_requests
        self.room = ConnectionLimit(self, on_settled=self.check_drained, on_close=self.left)
        self._partings = Partings(self)
        self.close_later = self._partings.later
        self.listeners = self._new_listeners(loads)
        self.native = self._serve_wsgi(app, place is not None, alarm) if isinstance(app, WSGIMiddleware) else None
        self.sweep(self.now)

    def _limited(self, app: Application) -> Application:
        limit = self.settings.limit_concurrency
        if not limit or isinstance(app, WSGIMiddleware):  # which has its own limit
            return app
        return ConcurrencyLimit(app, limit, self.log, self.counters.count)

    def _share(self, extensions: Mapping[str, object]) -> Http1Shared:
        return Http1Shared(
            self.settings,
            self.log,
            held_heads=HeldHeads(self),
            new_writer=writer_for(self.access_log),
            upgrade=upgrade,
            extensions=extensions,
            has_state=self.state is not None,
            counters=self.counters,
        )

    # Listeners

    def _new_listeners(self, loads: FairAccept | None) -> Acceptor:
        adopt: Adopt = self._connect
        if self.settings.proxy_protocol:
            adopt = partial(self._connect_proxied, ProxyProtocolFilter(self.loop, self.settings, self.log))
        listeners = Acceptor(self.loop, adopt, self.room, held=self.connections.__len__, loads=loads)
        self.room.attach(listeners)
        self.registry.subscribe(self._removed, self.check_drained)
        return listeners

    def _serve_wsgi(self, app: WSGIMiddleware, is_one_of_several: bool, alarm: Alarm) -> Serving:
        from server_core.http1.wsgi_serving import serve  # a server of an ASGI application has no use for it

        return serve(app.app, self, self.http1, is_one_of_several=is_one_of_several, alarm=alarm)

    @property
    def parser(self) -> str:
        """The name of the parser that reads requests."""
        return self.http1.parser

    def listen(self, sock: socket.socket) -> None:
        """Add a listener, which the server owns from now on; it does not accept before serve()."""
        self.listeners.add(sock)

    def serve(self) -> None:
        """Join the listeners; again after park(). Idempotent."""
        self.announcing = self.draining
        if not self.draining:
            self.listeners.join()

    def park(self) -> None:
        """Leave the listeners; what is connected goes on being served. Idempotent."""
        self.announcing = True
        self.listeners.leave()

    def adopt(self, sock: socket.socket) -> None:
        """Serve one connected socket, without TLS; it is owned from now on. A socketpair's half, too."""
        sock.setblocking(False)
        self._open(sock.detach(), self._new_connection(None))

    def _connect(self, fd: int, peer: object, own: object) -> Coroutine[object, object, object] | None:
        """Make a connection of a descriptor; `own` is the address it came to, None if the socket has to be asked."""
        if self.tls is not None:
            return self._connect_by_tls(self.tls, fd, peer, own)
        self._open(fd, self._new_connection(peer, own))
        return None

    def _new_connection(self, peer: object, own: object = None) -> Http1Connection:
        native = self.native
        return Http1Connection(self, self.http1, peer, own) if native is None else native.connect(peer, own)

    def _open(self, fd: int, protocol: Newcomer) -> None:
        new = SocketTransport if self.native is None else self.native.stream
        new(self.loop, self.poller, fd, protocol).open()
        self.http1.held_heads.expect()

    async def _connect_by_tls(self, tls: Tls, fd: int, peer: object, own: object) -> None:
        """The handshake has the deadline of a request's head."""
        new = partial(self._new_connection, peer, own)
        try:
            await shake_hands(self.loop, tls.context, new, partial(self._open, fd), self.settings.header_timeout)
        except OSError as error:  # the client has gone, does not speak TLS, or has no certificate that will do
            self.log("tls.handshake_failed", error=str(error), client=str(peer))

    async def _connect_proxied(self, gate: ProxyProtocolFilter, fd: int, peer: object, own: object) -> None:
        admitted = await gate.admit(socket.socket(fileno=fd), peer)
        if admitted is not None:
            sock, client, told = admitted
            going_on = self._connect(sock.detach(), client, told or own)
            if going_on is not None:
                await going_on

    # What connections tell

    def _reach_max_requests(self) -> None:
        if self._on_max_requests is not None:
            self._on_max_requests(f"max-requests {self.max_requests} reached")

    def _removed(self, connection: ManagedConnection) -> None:
        self.room.leave(connection)
        self.listeners.tell()

    def check_drained(self) -> None:
        if self._drained is not None and not self._drained.done() and self._is_finished():
            self._drained.set_result(None)

    def _is_finished(self) -> bool:
        is_quiet = self.registry.is_empty and not self.listeners.adopting
        return is_quiet and not self.listeners.is_emptying

    # The end

    def leave(self, *, final: bool, left: Callable[[], object] | None = None) -> None:
        """The synchronous first half of drain(): leave the listeners, announce close. Idempotent.

        `final`: no other worker follows, so whoever waits in an accept queue is taken along, and who is about to.
        `left` is called when all listeners are closed.
        """
        if self.draining:
            return
        self.draining = self.announcing = True
        self.is_last = final
        self._on_left = left
        self.listeners.close(take_waiting=final)

    def left(self) -> None:
        """The listeners are closed."""
        if self._on_left is not None:
            self._on_left()
            self._on_left = None
        self.check_drained()

    async def drain(self, timeout_s: float, *, final: bool) -> bool:
        """Leave, finish every request, close; True if all was finished in time. Lifespan is not ours to run."""
        self.leave(final=final)
        self._partings.plan(timeout_s, final=final)
        self._drained = self.loop.create_future()
        self.check_drained()
        timer = self.loop.call_later(timeout_s, _resolve, self._drained)
        try:
            await self._drained
        finally:
            timer.cancel()
            if self.access_log is not None:
                self.access_log.flush()
        return self._is_finished()

    def abort(self) -> None:
        """Cancel what is unfinished and close every connection at once, and the listeners."""
        self.listeners.abandon()
        for connection in list(self.connections):
            connection.abort()
        for arrival in list(self.listeners.adopting):
            arrival.cancel()
        for exchange in list(self.background):
            if exchange.task is not None:
                exchange.task.cancel()
        if self.access_log is not None:
            self.access_log.flush()

    # The sweep and the figures

    def sweep(self, now: float) -> None:
        """To be called about once a second with loop.time(): every deadline, the date, the access log."""
        self.swept_after_s, self.now = now - self.now, now
        self.listeners.beat()
        self.room.renew()
        self.http1.renew_date()
        for connection in list(self.connections):
            connection.check(now)
        self._partings.look(now)
        if self.native is not None:
            self.native.sweep()
        if self.access_log is not None:
            self.access_log.flush()

    def figures(self) -> Figures:
        """The numbers for the scoreboard; those of the process and its beats are the worker's to add."""
        return self.counters.figures()

    def in_flight(self) -> list[InFlight]:
        """Unfinished requests, oldest first; may be called from another thread."""
        return self.registry.in_flight()

    def reopen(self) -> None:
        """Reopen the access log's file."""
        if self.access_log is not None:
            self.access_log.reopen()

    def close(self) -> None:
        """Write the last lines of the access log. To be called when nothing is served any more."""
        self.poller.close()
        if self.native is not None:
            self.native.close()
        if self.access_log is not None:
            self.access_log.close()


def _with_jitter(settings: ServerSettings) -> int:
    return settings.max_requests and settings.max_requests + random.randint(0, settings.max_requests_jitter)


def _resolve(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)
