"""One call of the application: what a connection knows of it, be it an exchange or a WebSocket session."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from server_core.http.message import RequestLine

if TYPE_CHECKING:
    import asyncio


class Call:
    """From the first step of the application to its return, and what of it is told outside."""

    __slots__ = (
        *("_waiters", "body", "gone", "line", "phase", "received"),
        *("scope", "sent_bytes", "started_at", "status", "task"),
    )

    phase: Mapping[str, object]
    """Which messages the application may send now."""

    def _begin(
        self, scope: dict[str, object], line: RequestLine, received: bool, now: float, phase: Mapping[str, object]
    ) -> None:
        """What a constructor does first; a method, because a compiled one is called without a look-up."""
        self._waiters: list[asyncio.Future[None]] | None = None
        self.scope = scope
        self.line = line
        self.started_at = now
        self.task: asyncio.Task[None] | None = None
        self.body = b""
        self.received = received
        """The request's body is complete."""
        self.gone = False
        """The client is not there any more, as far as the application is concerned: it is told so."""
        self.phase = phase
        self.status = 0
        self.sent_bytes = 0

    @property
    def close_code(self) -> int | None:
        """How a WebSocket was closed, as the application is told; None for whatever is none, or not accepted yet."""
        return None

    @property
    def is_waiting(self) -> bool:
        """Whether the application waits in receive() or send()."""
        return bool(self._waiters)

    def wake(self) -> None:
        """Let everybody who waits look again."""
        waiters, self._waiters = self._waiters, None
        for waiter in waiters or ():
            if not waiter.done():
                waiter.set_result(None)

    def wait(self, waiter: asyncio.Future[None]) -> asyncio.Future[None]:
        """To be awaited: done when somebody has called wake(). No coroutine, which would be one more on each way."""
        if self._waiters is None:
            self._waiters = [waiter]
        else:
            self._waiters.append(waiter)
        return waiter
