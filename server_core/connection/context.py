"""What one server's connections read and count with each request: the part of a server that the fast path touches.

Apart from the rest of the server because a compiled connection then reads it without a look-up. No judgement is here.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Final

from server_core.access_log.log import AccessLog
from server_core.asgi.http_exchange import Application
from server_core.connection.counters import Counters
from server_core.connection.failure_log import FailureLog
from server_core.connection.interface import ManagedConnection
from server_core.connection.registry import ConnectionRegistry
from server_core.contract.figures import LATENCY_BOUNDS_S, by_class, by_status
from server_core.log import TALLY, Log
from server_core.proxy.forwarding import ForwardedHeaders
from server_core.runtime.server_loop import ServerLoop
from server_core.settings.declaration import ServerSettings
from server_core.tls.termination import Tls

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop
    from contextvars import Context

FASTEST_S: Final = LATENCY_BOUNDS_S[0]


class ServerContext:
    """One object for all connections of a server."""

    __slots__ = (
        *(
            "access_log",
            "announcing",
            "app",
            "asyncio_loop",
            "close_later",
            "connections",
            "counters",
            "draining",
            "failures",
        ),
        *("is_last", "latency", "latency_sum_s", "log", "loop", "max_requests", "new_context", "now", "origin"),
        *("reach_max_requests", "registry", "requests_total", "responses", "settings", "state", "swept_after_s", "tls"),
    )

    access_log: AccessLog | None
    app: Application
    asyncio_loop: AbstractEventLoop
    close_later: Callable[[ManagedConnection], None]
    """To be called with a connection that became idle in a drain (drain.py)."""
    failures: FailureLog
    log: Log
    new_context: Callable[[], Context]
    origin: ForwardedHeaders
    reach_max_requests: Callable[[], None]
    """To be called with the request that makes max_requests."""
    settings: ServerSettings
    state: Mapping[str, object] | None
    """What the lifespan left for all requests."""
    tls: Tls | None
    max_requests: int

    def __init__(self, loop: ServerLoop) -> None:
        self.loop = loop
        self.asyncio_loop, self.new_context = loop.asyncio_loop, loop.new_context
        self.now = loop.time()
        """loop.time() of the last sweep: the coarse clock of all deadlines."""
        self.swept_after_s = 0.0
        """Seconds between the last two sweeps."""
        self.registry = ConnectionRegistry()
        self.connections = self.registry.connections
        self.draining = self.announcing = False
        """Whether responses say Connection: close, so that clients move to another worker."""
        self.is_last = False
        """Whether it drains and no other worker follows: clients cannot move, and the stop waits for them."""
        self.requests_total = 0
        self.responses = [0] * 1000  # by their status
        self.latency = [0] * (len(LATENCY_BOUNDS_S) + 1)
        self.latency_sum_s = 0.0
        self.counters = Counters()
        self._count()

    def _count(self) -> None:
        """Say where each number is that is counted with each request or connection, here and in the registry."""
        follow = self.counters.follow
        follow("connections", self.connections.__len__)
        follow("in_flight", self.registry.count_in_flight)
        follow("requests_total", lambda: self.requests_total)
        follow("responses", lambda: by_class(self.responses))
        follow("statuses", lambda: by_status(self.responses))
        follow("log_warnings_total", partial(TALLY.__getitem__, "warning"))
        follow("log_errors_total", partial(TALLY.__getitem__, "error"))
        follow("log_exceptions_total", partial(TALLY.__getitem__, "exception"))
        follow("latency_sum_s", lambda: self.latency_sum_s)
        follow("latency", lambda: tuple(self.latency))

    def count_duration(self, duration: float) -> None:
        """How long a response took, in seconds."""
        self.latency[bisect_left(LATENCY_BOUNDS_S, duration)] += 1
        self.latency_sum_s += duration  # 25 ns (CPython 3.11, an AMD EPYC core)
