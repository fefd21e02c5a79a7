"""A client's connection to a WSGI application: an ordinary one, whose exchanges are WSGI's. For the loop's thread."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, cast

from server_core.asgi.response_states import COMPLETE
from server_core.http.message import RequestRejected
from server_core.http1.connection import Http1Connection
from server_core.http1.error_response import refuse
from server_core.http1.pipelining import hold_back
from server_core.http1.wsgi_exchange import WsgiExchange
from server_core.runtime.server_loop import NewTask
from server_core.transport.closing import OPEN
from server_core.wsgi.environ import of_fields

if TYPE_CHECKING:
    from server_core.asgi.http_exchange import Exchange
    from server_core.connection.context import ServerContext
    from server_core.http.message import Head
    from server_core.http1.shared import Http1Shared
    from server_core.wsgi.environ import Environs
    from server_core.wsgi.types import Environ


class Runs(Protocol):
    """What a connection asks of the application that it serves."""

    environs: Environs

    def exchange(self, connection: WsgiConnection, asgi: Exchange, head: Head, environ: Environ) -> WsgiExchange:
        """A request's exchange, in place of the one that it would have otherwise."""

    def run(self, exchange: WsgiExchange) -> None:
        """Have the application called for a request."""


class WsgiConnection(Http1Connection):
    """What one client's transport serves."""

    __slots__ = ("_last_environ", "_last_fields", "_runs")

    def __init__(self, runs: Runs, server: ServerContext, shared: Http1Shared, peer: object, own: object) -> None:
        super().__init__(server, shared, peer, own)
        self._runs = runs
        self._last_fields: object = None
        """The fields of the last request, if the next one may well have the same; and what came of them."""
        self._last_environ: Environ = {}

    def data_received(self, data: bytes) -> None:
        if self.mode != OPEN:
            return
        reader = self.reader
        try:
            reader.feed(data)
        except RequestRejected as refused:
            refuse(self.stream, refused)
            return
        exchange = self.stream.exchange
        if self.fresh:
            self.fresh = False
            if reader.held:
                hold_back(self, len(data))
            if not isinstance(exchange, WsgiExchange):
                server = self.server  # a WebSocket, which is refused as ASGI has it
                run = exchange.run(server.app)  # type: ignore[union-attr]  # begin() set it
                exchange.task = NewTask(run, loop=server.asyncio_loop, name="request", context=server.new_context())  # type: ignore[union-attr]
                return
            if exchange.is_launched:
                self._runs.run(exchange)
                return
            self.stream.body_wanted_at = self.server.now
        elif reader.held:
            if len(reader.held) <= len(data) and self.stream.head is not None:
                self.since = self.server.now
            hold_back(self, len(data))
        if isinstance(exchange, WsgiExchange) and not exchange.is_launched and exchange is self.stream.exchange:
            self._launch_if_due(exchange)

    def connection_lost(self, error: Exception | None) -> None:
        exchange = self.stream.exchange
        super().connection_lost(error)
        if isinstance(exchange, WsgiExchange) and not exchange.is_launched:
            self.server.registry.end_call(exchange)  # it waited for its body: no application will return from it

    def _launch_if_due(self, exchange: WsgiExchange) -> None:
        if exchange.is_due(self.stream.head):  # type: ignore[arg-type]  # there is one
            exchange.is_launched = True
            self.stream.body_wanted_at = 0.0
            self._runs.run(exchange)

    def begin(self, head: Head) -> None:
        Http1Connection.begin(self, head)  # and no super(), which compiled code would look up
        made = self.stream.exchange
        if made is not None and made.scope["type"] == "http":
            environ = self._new_environ(head, made.scope)
            self.stream.exchange = self._runs.exchange(self, cast("Exchange", made), head, environ)

    def body(self, data: bytes) -> None:
        exchange = self.stream.exchange
        if not isinstance(exchange, WsgiExchange) or exchange.phase is COMPLETE:
            Http1Connection.body(self, data)
            return
        self.stream.body_wanted_at = 0.0 if exchange.is_launched else self.server.now
        exchange.feed(data)
        if exchange.is_waiting:
            exchange.wake()
        if exchange.is_full:
            self.reading.pause()

    def _new_environ(self, head: Head, scope: dict[str, object]) -> Environ:
        """The environ of a request, but for its streams."""
        fields = head.lasting
        if fields and scope["headers"] is head.fields:
            if fields is not self._last_fields:
                self._last_fields, self._last_environ = fields, of_fields(fields)
            made = self._last_environ
        else:
            made = of_fields(scope["headers"])  # type: ignore[arg-type]  # a scope's are pairs of bytes
        return self._runs.environs.make(head.line, scope, made)

    def check(self, now: float) -> None:
        exchange = self.stream.exchange
        super().check(now)
        if exchange is not self.stream.exchange and isinstance(exchange, WsgiExchange) and exchange.is_running:
            self.server.registry.background.add(exchange)  # it was answered, and its thread goes on
