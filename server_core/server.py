"""The server of one process: listeners in, connections served, one sweep for all deadlines, and the drain.

Accepting.  One accept per wake-up of a listener: greedy accepting gives one worker of several nearly all of a burst.
Draining.   A kept-alive client may send its next request at any moment, and a connection closed under it loses that
            request. So idle connections stay readable for a while, each closes at its own moment, and the kernel is
            asked for unread bytes just before (see contrib/docs/DESIGN.md, Drain).
"""

from __future__ import annotations

import asyncio
import errno
import random
import socket
import sys
import time
from bisect import bisect_left
from collections.abc import Callable, Coroutine, Mapping
from email.utils import formatdate
from functools import partial
from time import monotonic
from typing import Final, NamedTuple

from server_core.access_log import AccessLog
from server_core.connection import Connection
from server_core.contract import LATENCY_BOUNDS_S, InFlight
from server_core.http.exchange import Application, Exchange
from server_core.http.h1_h11 import H11Headers
from server_core.http.h1_rules import RequestLines
from server_core.http.h1_writer import Defaults
from server_core.http.wire import Head, HeaderParser
from server_core.log import Log
from server_core.proxy import parse_trusted
from server_core.settings import ServerSettings
from server_core.tls import Tls
from server_core.websocket.channel import Channel
from server_core.websocket.session import Session
from server_core.websocket.upgrade import upgrade

try:
    from server_core.http.h1_httptools import HttptoolsHeaders
except ImportError:  # no wheel for this platform: h11 is plain Python
    HttptoolsHeaders = None  # type: ignore[assignment,misc]  # the absence is the value

SPREAD_MAX_S: Final = 5.0
"""How long idle connections stay readable in a drain, at most, unless set: DESIGN, min(5 s, graceful-timeout / 3)."""

RETRY_MIN_S, RETRY_MAX_S = 0.1, 1.0
"""Pause after a failed accept, doubled each time. Chosen; no evidence: descriptors come back when requests end."""

_EXHAUSTED: Final = frozenset((errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM))


class ServerFigures(NamedTuple):
    """The server's part of contract.Figures; `responses` are 1xx to 5xx, `latency` the bucket counts."""

    connections: int
    in_flight: int
    requests_total: int
    responses: tuple[int, int, int, int, int]
    latency: tuple[int, ...]


class Server:
    """Serves `app` on the listeners it is given. Every method is for the loop's thread, but in_flight()."""

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
    ) -> None:
        self.app = app
        self.settings = settings
        self.loop = loop
        self.log = log
        self.state = state
        self.tls = tls
        self.root_path = settings.root_path.rstrip("/")
        self.trusted = parse_trusted(settings.forwarded_allow_ips)
        self.new_parser = _parser_factory(settings)
        self.lines = RequestLines(self.root_path, self.new_parser().knows)
        self.connections: dict[Connection | Channel, None] = {}
        """Open connections, in the order of their making."""
        self.background: set[Exchange | Session] = set()
        """Exchanges whose application still runs without a connection: answered, or left by the client."""
        self.responses = [0] * 10
        """Responses by the first digit of their status."""
        self.new_task = _task_factory(loop)
        """One real Task for one request, started at once where Python can (3.12)."""
        self.requests_total = 0
        self.max_requests = settings.max_requests and settings.max_requests + random.randint(
            0, settings.max_requests_jitter
        )
        self.draining = False
        self.announcing = False
        """Whether responses say Connection: close, so that clients move to another worker."""
        self.date = b""
        self.defaults = Defaults(b"", b"", b"\r\n")
        self.signature = b"server: supervisor-d\r\n" if settings.server_header else b""
        self.now = loop.time()
        self._latency = [0] * (len(LATENCY_BOUNDS_S) + 1)
        self._on_max_requests = on_max_requests
        self._listeners: list[socket.socket] = []
        self._serving = False
        self._retry_s = RETRY_MIN_S
        self._retry: asyncio.TimerHandle | None = None
        self._adopting: set[asyncio.Task[None]] = set()
        self._drained: asyncio.Future[None] | None = None
        self._closes_until = 0.0
        self._access_log = AccessLog(settings.access_log, log) if settings.access_log != "off" else None
        self.sweep(self.now)

    # Listeners

    def listen(self, sock: socket.socket) -> None:
        """Add a listener, which the server owns from now on; it does not accept before serve()."""
        sock.setblocking(False)
        if sock.family != socket.AF_UNIX:
            # Accepted sockets inherit it, which saves a call for each. asyncio (3.11 to 3.13) sets it only on sockets
            # that know their protocol number, and an accepted one says 0.
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._listeners.append(sock)
        if self._serving:
            self.loop.add_reader(sock.fileno(), self._accept, sock)

    def serve(self) -> None:
        """Join the listeners; again after park(). Idempotent."""
        self.announcing = self.draining
        if not self._serving and not self.draining:
            self._serving = True
            self._watch()

    def park(self) -> None:
        """Leave the listeners; what is connected goes on being served. Idempotent."""
        self.announcing = True
        self._unwatch()
        self._serving = False

    def _watch(self) -> None:
        for listener in self._listeners:
            self.loop.add_reader(listener.fileno(), self._accept, listener)

    def _unwatch(self) -> None:
        if self._retry is not None:
            self._retry.cancel()
            self._retry = None
        elif self._serving:
            for listener in self._listeners:
                self.loop.remove_reader(listener.fileno())

    def _accept(self, listener: socket.socket) -> bool:
        """Take one connection off the queue; False if there was none to take."""
        try:
            sock, peer = listener.accept()
        except OSError as error:
            if error.errno in _EXHAUSTED:
                self._pause_accepting(error)
            # else: EAGAIN, another worker was faster; ECONNABORTED and the network's errors, that client has gone
            return error.errno == errno.ECONNABORTED
        self._retry_s = RETRY_MIN_S
        sock.setblocking(False)
        task = self.loop.create_task(self.adopt(sock, peer, self.tls))
        self._adopting.add(task)
        task.add_done_callback(self._adopted)
        return True

    def _adopted(self, task: asyncio.Task[None]) -> None:
        self._adopting.discard(task)
        self.check_drained()  # a client that went away at once leaves no connection whose end would tell

    def _pause_accepting(self, error: OSError) -> None:
        if self._serving:
            self.log("accept.failed", error=str(error), retry_s=self._retry_s)
            self._unwatch()
            self._retry = self.loop.call_later(self._retry_s, self._resume_accepting)
            self._retry_s = min(RETRY_MAX_S, self._retry_s * 2)

    def _resume_accepting(self) -> None:
        self._retry = None
        self._watch()

    async def adopt(self, sock: socket.socket, peer: object = None, tls: Tls | None = None) -> None:
        """Serve one connected socket, listeners or not; also a socketpair's half, for a probe from inside.

        The TLS handshake has the deadline of a request's head. A shutdown of TLS lasts until everything is taken.
        """
        new = partial(Connection, self, peer)
        try:
            if tls is None:
                await self.loop.connect_accepted_socket(new, sock)
            else:
                await self.loop.connect_accepted_socket(
                    new,
                    sock,
                    ssl=tls.context,
                    ssl_handshake_timeout=self.settings.header_timeout,
                    ssl_shutdown_timeout=self.settings.write_timeout,
                )
        except OSError as error:  # the client has gone, does not speak TLS, or has no certificate that will do
            sock.close()
            if tls is not None:
                self.log("tls.handshake_failed", error=str(error), client=str(peer))

    # What connections ask and tell

    def upgrade(self, connection: Connection, head: Head, scope: dict[str, object]) -> Session | None:
        """The session for a WebSocket handshake; None if the offered Upgrade is to be ignored.

        The library behind it is imported with the server, although most workers never see a WebSocket: 3.2 MB and 25
        ms (CPython 3.11). At the first handshake that would stall every request, and the code on disk may have changed.
        """
        return upgrade(connection, head, scope)

    def reach_max_requests(self) -> None:
        if self._on_max_requests is not None:
            self._on_max_requests(f"max-requests {self.max_requests} reached")

    def count_response(self, exchange: Exchange | Session) -> None:
        duration = monotonic() - exchange.started_at
        self._latency[0 if duration <= 0.001 else bisect_left(LATENCY_BOUNDS_S, duration)] += 1
        if self._access_log is not None:
            scope = exchange.scope
            self._access_log.record(
                _client_text(scope["client"]),
                exchange.line.method,
                exchange.line.target,
                exchange.line.version,
                exchange.status,
                exchange.sent_bytes,
                duration,
            )

    def count_refusal(self, status: int, peer: object, sent_bytes: int) -> None:
        self.responses[status // 100] += 1
        if self._access_log is not None:
            self._access_log.record(_client_text(peer), "-", "-", "-", status, sent_bytes, 0.0)

    def forget(self, connection: Connection | Channel) -> None:
        self.connections.pop(connection, None)
        self.check_drained()

    def check_drained(self) -> None:
        if self._drained is not None and not self._drained.done() and self._is_finished():
            self._drained.set_result(None)

    def _is_finished(self) -> bool:
        return not (self.connections or self.background or self._adopting)

    # The end

    def leave(self, *, final: bool) -> None:
        """The synchronous first half of drain(): leave and close the listeners, announce close. Idempotent.

        `final`: no other worker follows, so whoever waits in an accept queue is taken along.
        """
        if self.draining:
            return
        self.draining = self.announcing = True
        self._unwatch()
        self._serving = False
        for listener in self._listeners:
            while final and self._accept(listener):
                pass
            listener.close()
        self._listeners.clear()

    async def drain(self, timeout_s: float, *, final: bool) -> bool:
        """Leave, finish every request, close; True if all was finished in time. Lifespan is not ours to run."""
        self.leave(final=final)
        self._plan_closes(timeout_s)
        self._drained = self.loop.create_future()
        self.check_drained()
        timer = self.loop.call_later(timeout_s, _resolve, self._drained)
        try:
            await self._drained
        finally:
            timer.cancel()
            if self._access_log is not None:
                self._access_log.flush()
        return self._is_finished()

    def _plan_closes(self, timeout_s: float) -> None:
        """Give each idle connection its moment, evenly over the second half of the window, oldest first."""
        spread = self.settings.drain_spread or min(SPREAD_MAX_S, self.settings.graceful_timeout / 3)
        spread = min(spread, timeout_s / 2)
        now = self.loop.time()
        self._closes_until = now + spread
        idle = [connection for connection in self.connections if connection.is_idle]
        for number, connection in enumerate(idle, 1):
            self.loop.call_at(now + spread * (1 + number / len(idle)) / 2, connection.close_if_idle)

    def close_later(self, connection: Connection | Channel) -> None:
        """A moment for a connection that became idle in a drain, because its head had gone out before."""
        now = self.loop.time()
        self.loop.call_at(
            max(self._closes_until, now + min(1.0, self.settings.graceful_timeout / 6)), connection.close_if_idle
        )

    def abort(self) -> None:
        """Cancel what is unfinished and close every connection at once."""
        for connection in list(self.connections):
            connection.abort()
        for task in list(self._adopting):
            task.cancel()
        for exchange in list(self.background):
            if exchange.task is not None:
                exchange.task.cancel()
        if self._access_log is not None:
            self._access_log.flush()

    # The sweep and the figures

    def sweep(self, now: float) -> None:
        """To be called about once a second with loop.time(): every deadline, the date, the access log."""
        self.now = now
        if self.settings.date_header:
            self.date = b"date: " + formatdate(time.time(), usegmt=True).encode("ascii") + b"\r\n"
        self.defaults = Defaults(self.date, self.signature, self.date + self.signature + b"\r\n")
        for connection in list(self.connections):
            connection.check(now)
        if self._access_log is not None:
            self._access_log.renew_clock()
            self._access_log.flush()

    def figures(self) -> ServerFigures:
        """The numbers for the scoreboard."""
        by_class = self.responses
        return ServerFigures(
            len(self.connections),
            sum(connection.is_busy for connection in self.connections) + len(self.background),
            self.requests_total,
            (by_class[1], by_class[2], by_class[3], by_class[4], sum(by_class[5:])),
            tuple(self._latency),
        )

    def in_flight(self) -> list[InFlight]:
        """Unfinished requests, oldest first; may be called from another thread."""
        running = [connection.exchange for connection in list(self.connections)]
        exchanges = [exchange for exchange in running if exchange is not None]  # has no task yet in an eager first step
        exchanges.extend(list(self.background))
        return sorted(
            InFlight(exchange.started_at, exchange.line.method, str(exchange.scope["path"])) for exchange in exchanges
        )

    def reopen(self) -> None:
        """Reopen the access log's file."""
        if self._access_log is not None:
            self._access_log.reopen()


def _task_factory(
    loop: asyncio.AbstractEventLoop,
) -> Callable[[Coroutine[object, object, None]], asyncio.Task[None]]:
    if sys.version_info >= (3, 12):
        return partial(asyncio.Task, loop=loop, eager_start=True)
    return partial(asyncio.Task, loop=loop)


def _parser_factory(settings: ServerSettings) -> Callable[[], HeaderParser]:
    if settings.http == "h11" or (settings.http == "auto" and HttptoolsHeaders is None):
        limit = settings.limit_header_bytes + settings.limit_request_line
        return lambda: H11Headers(limit)
    return HttptoolsHeaders


def _client_text(client: object) -> str:
    return str(client[0]) if isinstance(client, tuple) else "-"


def _resolve(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)
