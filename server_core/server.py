"""The server of one process: listeners in, connections served, one sweep for all deadlines, and the drain."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from typing import NamedTuple

from server_core.contract import InFlight
from server_core.log import Log
from server_core.settings import ServerSettings

Message = MutableMapping[str, object]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[MutableMapping[str, object], Receive, Send], Awaitable[None]]


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
    ) -> None:
        raise NotImplementedError

    def listen(self, sock: socket.socket) -> None:
        """Add a listener, which the server owns from now on; it does not accept before serve()."""
        raise NotImplementedError

    async def adopt(self, sock: socket.socket, peer: object = None) -> None:
        """Serve one connected socket (a health probe's half of a socketpair), listeners or not."""
        raise NotImplementedError

    def serve(self) -> None:
        """Join the listeners; again after park(). Idempotent."""
        raise NotImplementedError

    def park(self) -> None:
        """Leave the listeners; what is connected goes on being served. Idempotent."""
        raise NotImplementedError

    def leave(self, *, final: bool) -> None:
        """The synchronous first half of drain(): leave and close the listeners, announce close. Idempotent."""
        raise NotImplementedError

    async def drain(self, timeout_s: float, *, final: bool) -> bool:
        """Leave, finish every request, close; True if all was finished in time. Lifespan is not ours to run."""
        raise NotImplementedError

    def abort(self) -> None:
        """Cancel what is unfinished and close every connection at once."""
        raise NotImplementedError

    def sweep(self, now: float) -> None:
        """To be called about once a second with loop.time(): every deadline, the date, the access log."""
        raise NotImplementedError

    def figures(self) -> ServerFigures:
        """The numbers for the scoreboard."""
        raise NotImplementedError

    def in_flight(self) -> list[InFlight]:
        """Unfinished requests, oldest first; may be called from another thread."""
        raise NotImplementedError

    def reopen(self) -> None:
        """Reopen the access log's file."""
        raise NotImplementedError
