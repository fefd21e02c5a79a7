"""limit-concurrency: how many requests the application has at once.

It stands before the application, as an application, and only where there is a limit: without one nothing is counted.
Counted is a request from its head until the application returns, which may be later than the end of its response.
WebSockets pass: they are connections, and limit-connections bounds those.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from server_core.log_throttle import LogThrottle

if TYPE_CHECKING:
    from collections.abc import Callable

    from server_core.asgi.http_exchange import Application, Message, Receive, Send
    from server_core.log import Log

BUSY: Final = b"Service Unavailable\n"
FIELDS: Final = [
    (b"content-type", b"text/plain; charset=utf-8"),
    (b"content-length", b"%d" % len(BUSY)),
    (b"retry-after", b"1"),
]
"""A second: the shortest time that Retry-After can say (RFC 9110 section 10.2.3), and requests are short."""


class ConcurrencyLimit:
    """`app` for at most `limit` requests at once; the others are answered 503, and may keep their connections."""

    def __init__(self, app: Application, limit: int, log: Log, count: Callable[[str], object]) -> None:
        """`count` is called with the name of what is to be counted: a request that was answered 503."""
        self._app = app
        self._limit = limit
        self._log = log
        self._running = 0
        self._busy = LogThrottle()
        self._count = count

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
        elif self._running < self._limit:
            self._running += 1
            try:
                await self._app(scope, receive, send)
            finally:
                self._running -= 1
        else:
            self._count("overloads_total")
            if self._busy.begins():
                self._log("requests.limited", limit=self._limit)
            await send({"type": "http.response.start", "status": 503, "headers": FIELDS})
            await send({"type": "http.response.body", "body": BUSY})
