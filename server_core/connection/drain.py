"""When each connection ends in a drain: a moment of its own for whatever would never end by itself.

    kept alive, idle           half-closed, unless a request is in the kernel's buffer (it is served)
    WebSocket                  closed with 1012, as soon as it is quiet (websocket/connection.py)
    push stream                its body is ended; for its application it is as if the client had left
                               (http1/disconnect_grace.py)
    everything else            until it has ended, or the time for requests is over

A push stream is a response that has no end in itself, and whose client knows that: a GET that is answered with
text/event-stream (the client connects again, and says which event was the last one it has seen: WHATWG HTML, section
9.2.3) or with multipart/x-mixed-replace. Rejected: to end what has been silent for a while, or any response without a
length. A report that computes for a minute between two parts, and a download of unknown size, would be lost; nothing
distinguishes them from a stream that says nothing. A POST that is answered with events is an answer, too: language
models and MCP's calls stream theirs so. A long poll is a request that will be answered.

The application has heard of the drain half a window before (worker/stop_signals.py), and may end its streams in its
own way.
"""

from __future__ import annotations

from typing import Final

from server_core.connection.context import ServerContext
from server_core.connection.interface import ManagedConnection

SPREAD_MAX_S: Final = 5.0
"""How long idle connections stay readable in a drain, at most, unless set: DESIGN, min(5 s, graceful-timeout / 3)."""

SPREAD_LAST_S: Final = 0.6
"""The same where no other worker follows: no worker has to be protected from clients that all connect again at once,
and the stop waits. Chosen: NOTICE_S and a little. With the linger (transport/closing.py) an idle client holds a stop
for 0.9 s."""

NOTICE_S: Final = 0.5
"""How long an application has for ending its streams itself, and a kept-alive client for a next request, which is
answered with Connection: close. sse-starlette looks twice a second whether its server stops."""


class Partings:
    """The moments of one server's connections, from the beginning of its drain."""

    def __init__(self, server: ServerContext) -> None:
        self._server = server
        self._until = 0.0

    def plan(self, timeout_s: float, *, final: bool) -> None:
        """Give each a moment, oldest first, evenly over the second half of the window, but none before NOTICE_S."""
        server = self._server
        settings, now = server.settings, server.loop.time()
        most_s = SPREAD_LAST_S if final else SPREAD_MAX_S
        spread_s = min(settings.drain_spread or min(most_s, settings.graceful_timeout / 3), timeout_s / 2)
        self._until = now + spread_s
        first_s = max(spread_s / 2, min(spread_s, NOTICE_S))
        found = (
            connection.close_if_idle if connection.is_idle else connection.push_end()
            for connection in server.connections
        )
        ends = [end for end in found if end is not None]
        for number, end in enumerate(ends, 1):
            server.loop.call_at(now + first_s + (spread_s - first_s) * number / len(ends), end)

    def later(self, connection: ManagedConnection) -> None:
        """A moment for a connection that became idle in the drain, because its head had gone out before."""
        server = self._server
        patience_s = min(1.0, server.settings.graceful_timeout / 6)
        server.loop.call_at(max(self._until, server.loop.time() + patience_s), connection.close_if_idle)

    def look(self, now: float) -> None:
        """End the push streams that began in the drain; to be called about once a second."""
        if self._until and now > self._until:
            for connection in list(self._server.connections):
                if (end := connection.push_end()) is not None:
                    end()
