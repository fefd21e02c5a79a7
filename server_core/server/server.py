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
import time
import traceback
from collections.abc import Callable, Coroutine, Mapping
from email.utils import formatdate
from functools import partial
from time import monotonic
from typing import NamedTuple

from server_core.access_log.log import open_log
from server_core.access_log.record import Place
from server_core.asgi.call import Call
from server_core.asgi.concurrency_limit import Admission
from server_core.asgi.extensions import NOTHING
from server_core.asgi.http_exchange import Application
from server_core.asgi.websocket_session import Session
from server_core.connection.context import Traffic
from server_core.connection.drain import Partings
from server_core.contract.spec import InFlight
from server_core.http.message import Head, HeaderParser
from server_core.http1 import header_parser
from server_core.http1.connection import Connection
from server_core.http1.disconnect_grace import Grace
from server_core.http1.dropped_fields import DroppedNames
from server_core.http1.field_names import FieldNames
from server_core.http1.held_heads import HeldHeads
from server_core.http1.request_line import RequestLines
from server_core.http1.response_head import Heads
from server_core.http1.writer import H1Writer
from server_core.listen.acceptor import Adopt, Listeners
from server_core.listen.connection_limit import Room
from server_core.listen.fair_accept import Loads
from server_core.listen.pending_connection import shake_hands
from server_core.log import Log
from server_core.proxy.forwarding import Origin, names_to_know
from server_core.proxy.protocol_filter import Gate
from server_core.proxy.request_id import request_id_of
from server_core.runtime.server_loop import ServerLoop
from server_core.settings.declaration import ServerSettings
from server_core.tls.termination import Tls
from server_core.transport.base import Newcomer
from server_core.transport.poller import new_poller
from server_core.transport.socket_transport import Stream
from server_core.websocket.connection import Channel
from server_core.websocket.upgrade import upgrade


class ServerFigures(NamedTuple):
    """The server's part of contract.Figures; `responses` are 1xx to 5xx, `latency` the bucket counts."""

    connections: int
    in_flight: int
    requests_total: int
    responses: tuple[int, int, int, int, int]
    overloads_total: int
    evictions_total: int
    dropped_fields_total: int
    latency_sum_s: float
    latency: tuple[int, ...]


class Server(Traffic):
    """Serves `app` on the listeners it is given. Every method is for the loop's thread, but in_flight()."""

    swept_after_s = 0.0
    """Time between the last two sweeps."""
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
        loads: Loads | None = None,
        extensions: Mapping[str, object] = NOTHING,
    ) -> None:
        super().__init__(ServerLoop(loop))
        self.admission = Admission(app, settings.limit_concurrency, log) if settings.limit_concurrency else None
        self.app = self.admission or app
        self.settings, self.log, self.state, self.tls = settings, log, state, tls
        self.held_heads = HeldHeads(self)
        self.poller = new_poller(self.loop, self.held_heads.expect)
        self.origin = Origin(settings)
        self.parser = header_parser.choose(settings.http)
        self.headers = _new_parser(self.parser, settings, DroppedNames(log))
        root_path = settings.root_path.rstrip("/")
        self.lines = RequestLines(root_path, self.headers.knows, extensions, has_state=state is not None)
        self.connections = {}
        self.background: set[Call] = set()
        """Exchanges whose application still runs without a connection: answered, or left by the client."""
        self.max_requests = _with_jitter(settings)
        self.heads = Heads(_fixed_defaults(settings))
        self._on_max_requests = on_max_requests
        self.room, self.grace, self._partings = Room(self), Grace(self), Partings(self)
        self.listeners = self._new_listeners(loads)
        self.access_log = open_log(settings, log, place)
        self.new_writer = self.access_log.new_writer if self.access_log is not None else H1Writer
        self.sweep(self.now)

    # Listeners

    def _new_listeners(self, loads: Loads | None) -> Listeners:
        adopt: Adopt = self._connect
        if self.settings.proxy_protocol:
            adopt = partial(self._connect_proxied, Gate(self.loop, self.settings, self.log))
        return Listeners(self.loop, adopt, self.room, held=self.connections.__len__, loads=loads)

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
        self._open(sock.detach(), Connection(self, None))

    def _connect(self, fd: int, peer: object, own: object) -> Coroutine[object, object, object] | None:
        """Make a connection of a descriptor; `own` is the address it came to, None if the socket has to be asked."""
        if self.tls is not None:
            return self._connect_by_tls(self.tls, fd, peer, own)
        self._open(fd, Connection(self, peer, own))
        return None

    def _open(self, fd: int, protocol: Newcomer) -> None:
        Stream(self.loop, self.poller, fd, protocol).open()
        self.held_heads.expect()

    async def _connect_by_tls(self, tls: Tls, fd: int, peer: object, own: object) -> None:
        """The handshake has the deadline of a request's head."""
        new = partial(Connection, self, peer, own)
        try:
            await shake_hands(self.loop, tls.context, new, partial(self._open, fd), self.settings.header_timeout)
        except OSError as error:  # the client has gone, does not speak TLS, or has no certificate that will do
            self.log("tls.handshake_failed", error=str(error), client=str(peer))

    async def _connect_proxied(self, gate: Gate, fd: int, peer: object, own: object) -> None:
        admitted = await gate.admit(socket.socket(fileno=fd), peer)
        if admitted is not None:
            sock, client, told = admitted
            going_on = self._connect(sock.detach(), client, told or own)
            if going_on is not None:
                await going_on

    # What connections ask and tell

    def blame(self, exchange: Call, error: BaseException) -> None:
        """Log what an application raised."""
        self.log("request.failed", **self.facts(exchange), traceback="".join(traceback.format_exception(error)))

    def facts(self, exchange: Call) -> dict[str, object]:
        """What the log says of a request."""
        facts = {"method": exchange.line.method, "path": exchange.scope["path"]}
        if self.origin.request_ids is not None:
            facts["request_id"] = request_id_of(exchange.scope)
        return facts

    def upgrade(self, connection: Connection, head: Head, scope: dict[str, object]) -> Session | None:
        """The session for a WebSocket handshake; None if the offered Upgrade is to be ignored.

        The library behind it is imported with the server, although most workers never see a WebSocket: 3.2 MB and 25
        ms (CPython 3.11). At the first handshake that would stall every request, and the code on disk may have changed.
        """
        return upgrade(connection, head, scope)

    def reach_max_requests(self) -> None:
        if self._on_max_requests is not None:
            self._on_max_requests(f"max-requests {self.max_requests} reached")

    def count_upgrade(self, session: Session) -> None:
        """A WebSocket is accepted; the access log has it when it ends."""
        self.responses[1] += 1
        self.count_duration(monotonic() - session.started_at)

    def forget(self, connection: Connection | Channel) -> None:
        self.connections.pop(connection, None)
        self.room.leave(connection)
        self.listeners.tell()
        self.check_drained()

    def check_drained(self) -> None:
        if self._drained is not None and not self._drained.done() and self._is_finished():
            self._drained.set_result(None)

    def _is_finished(self) -> bool:
        is_quiet = not (self.connections or self.background or self.listeners.adopting)
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

    def close_later(self, connection: Connection | Channel) -> None:
        """A moment for a connection that became idle in a drain, because its head had gone out before."""
        self._partings.later(connection)

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
        self._renew_date()
        for connection in list(self.connections):
            connection.check(now)
        self._partings.look(now)
        if self.access_log is not None:
            self.access_log.flush()

    def _renew_date(self) -> None:
        date = formatdate(time.time(), usegmt=True).encode("ascii")
        self.defaults = self.heads.defaults(date if self.settings.date_header else b"")

    def figures(self) -> ServerFigures:
        """The numbers for the scoreboard."""
        by_class = self.responses
        return ServerFigures(
            len(self.connections),
            sum(connection.is_busy for connection in self.connections) + len(self.background),
            self.requests_total,
            (by_class[1], by_class[2], by_class[3], by_class[4], sum(by_class[5:])),
            self.admission.overloads_total if self.admission is not None else 0,
            self.room.evictions_total,
            self.headers.dropped_total,
            self.latency_sum_s,
            tuple(self.latency),
        )

    def in_flight(self) -> list[InFlight]:
        """Unfinished requests, oldest first; may be called from another thread."""
        running = [connection.exchange for connection in list(self.connections)]
        calls: list[Call] = [call for call in running if call is not None]  # has no task yet in an eager first step
        calls.extend(list(self.background))
        return sorted(InFlight(call.started_at, call.line.method, str(call.scope["path"])) for call in calls)

    def reopen(self) -> None:
        """Reopen the access log's file."""
        if self.access_log is not None:
            self.access_log.reopen()

    def close(self) -> None:
        """Write the last lines of the access log. To be called when nothing is served any more."""
        self.poller.close()
        if self.access_log is not None:
            self.access_log.close()


def _new_parser(name: str, settings: ServerSettings, dropped: DroppedNames) -> HeaderParser:
    names = FieldNames(names_to_know(settings), settings.underscore_headers, dropped.tell)
    return header_parser.make(name, names, settings.limit_header_bytes + settings.limit_request_line)


def _fixed_defaults(settings: ServerSettings) -> list[tuple[bytes, bytes]]:
    """Names and lines of the default fields that do not change with time."""
    lines = [
        (text.partition(":")[0].lower().encode("ascii"), f"{text}\r\n".encode("latin-1")) for text in settings.header
    ]
    if settings.server_header and all(name != b"server" for name, _ in lines):
        lines.insert(0, (b"server", b"server: supervisor-d\r\n"))
    if settings.request_id != "off":  # a place for it, so that it is known whether the application gave one itself
        lines.append((settings.request_id.lower().encode("ascii"), b""))
    return lines


def _with_jitter(settings: ServerSettings) -> int:
    return settings.max_requests and settings.max_requests + random.randint(0, settings.max_requests_jitter)


def _resolve(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)
