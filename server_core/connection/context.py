"""What one server's connections read and count with each request: the part of a server that the fast path touches.

Apart from the rest of the server because a compiled connection then reads it without a look-up. No judgement is here.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Final

from server_core.access_log.log import AccessLog
from server_core.asgi.http_exchange import Application
from server_core.contract.spec import LATENCY_BOUNDS_S
from server_core.http.message import HeaderParser
from server_core.http1.request_line import RequestLines
from server_core.http1.response_head import Defaults, Heads
from server_core.http1.writer import H1Writer
from server_core.proxy.forwarding import Origin
from server_core.runtime.server_loop import ServerLoop
from server_core.settings.declaration import ServerSettings
from server_core.tls.termination import Tls

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop
    from contextvars import Context

    from server_core.http1.connection import Connection
    from server_core.http1.held_heads import HeldHeads
    from server_core.websocket.connection import Channel

FASTEST_S: Final = LATENCY_BOUNDS_S[0]


class Traffic:
    """One object for all connections of a server."""

    __slots__ = (
        *("access_log", "announcing", "app", "connections", "defaults", "draining", "headers", "heads"),
        *("held_heads", "is_last", "is_looked_after", "latency", "latency_sum_s", "lines", "loop", "max_requests"),
        *("asyncio_loop", "new_context", "new_writer", "now", "origin", "requests_total", "responses", "settings"),
        *("starting", "state", "tls"),
    )

    access_log: AccessLog | None
    app: Application
    connections: dict[Connection | Channel, None]
    """Open connections, in the order of their making."""
    defaults: Defaults
    """The fields that every response gets, the date among them."""
    headers: HeaderParser
    heads: Heads
    held_heads: HeldHeads
    lines: RequestLines
    asyncio_loop: AbstractEventLoop
    new_context: Callable[[], Context]
    new_writer: Callable[[Heads], H1Writer]
    origin: Origin
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
        self.draining = self.announcing = False
        """Whether responses say Connection: close, so that clients move to another worker."""
        self.is_last = False
        """Whether it drains and no other worker follows: clients cannot move, and the stop waits for them."""
        self.requests_total = 0
        self.starting: Connection | None = None
        """Whose response has begun last in this turn of the loop; its head may be held."""
        self.is_looked_after = True
        """Whether heads that are held now will be looked at (held_heads.py): who reads requests sees to it first."""
        self.responses = [0] * 10  # by the first digit of their status
        self.latency = [0] * (len(LATENCY_BOUNDS_S) + 1)
        self.latency_sum_s = 0.0

    def count_duration(self, duration: float) -> None:
        """How long a response took, in seconds."""
        self.latency[bisect_left(LATENCY_BOUNDS_S, duration)] += 1
        self.latency_sum_s += duration  # 25 ns (CPython 3.11, an AMD EPYC core)
