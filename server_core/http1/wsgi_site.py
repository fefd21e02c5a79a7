"""A WSGI application as one server serves it, in the loop's own thread: what `--threads 1` means.

The request runs where it was read, as in a worker of gunicorn's `sync` kind: nothing is handed over. What waits for
clients (kept-alive connections, bodies that are on their way, responses that fit the buffer) waits in the event loop.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from server_core.asgi.concurrency_limit import BUSY, FIELDS
from server_core.http1.wsgi_connection import WsgiConnection
from server_core.http1.wsgi_exchange import WsgiExchange
from server_core.http1.wsgi_inline import InlineExchange
from server_core.log_throttle import LogThrottle
from server_core.transport.socket_transport import SocketTransport
from server_core.wsgi.environ import SERVER_SOFTWARE, Environs
from server_core.wsgi.file_wrapper import FileWrapper

if TYPE_CHECKING:
    from contextvars import Context

    from server_core.asgi.call import Call
    from server_core.asgi.http_exchange import Exchange
    from server_core.connection.context import ServerContext
    from server_core.http.message import Head
    from server_core.http1.shared import Http1Shared
    from server_core.wsgi.types import Environ, WsgiApplication


class Site:
    """What all connections of a server share."""

    stream: Any = SocketTransport
    multithread = False

    def __init__(
        self, app: WsgiApplication, server: ServerContext, shared: Http1Shared, *, is_one_of_several: bool
    ) -> None:
        self.app = app
        self._server, self._shared = server, shared
        self.log = server.log
        self.facts: Callable[[Call], dict[str, object]] = server.failures.facts
        self.new_context: Callable[[], Context] = server.new_context
        self.limit = server.settings.limit_concurrency
        self._busy = LogThrottle()
        self.environs = Environs(
            server.settings.root_path,
            {
                "SERVER_SOFTWARE": SERVER_SOFTWARE,
                "wsgi.version": (1, 0),
                "wsgi.multithread": self.multithread,
                "wsgi.multiprocess": is_one_of_several,
                "wsgi.run_once": False,
                "wsgi.input_terminated": True,
                "wsgi.file_wrapper": FileWrapper,
            },
        )

    def connect(self, peer: object, own: object) -> WsgiConnection:
        return WsgiConnection(self, self._server, self._shared, peer, own)

    def exchange(self, connection: WsgiConnection, asgi: Exchange, head: Head, environ: Environ) -> WsgiExchange:
        """A request's exchange."""
        return InlineExchange(connection, self, asgi, head, environ)

    def run(self, exchange: WsgiExchange) -> None:
        """Run the application for a request."""
        exchange.launch()

    def refuse(self, exchange: WsgiExchange) -> None:
        """Answer 503: limit-concurrency is reached."""
        self._server.counters.count("overloads_total")
        if self._busy.begins():
            self.log("requests.limited", limit=self.limit)
        exchange.answer(503, FIELDS, BUSY)

    def sweep(self) -> None:
        """Nothing: who watches the event loop sees a request that lasts too long."""

    def close(self) -> None:
        """Nothing is to be given back."""
