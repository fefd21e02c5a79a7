"""One connection without a socket, on a server whose sweeps the test gives."""

from __future__ import annotations

import asyncio

from server_core.http1.connection import Http1Connection
from server_core.server.server import Server
from server_core.settings.declaration import ServerSettings
from tests.helpers.http import Heard, PipeTransport, parse_responses, reflect


class Bench:
    """A connection without a socket, and the server it belongs to."""

    def __init__(self, app: object = reflect, **settings: object) -> None:
        self.heard = Heard()
        loop = asyncio.get_running_loop()
        self.server = Server(app, ServerSettings(**settings), loop, log=self.heard)  # type: ignore[arg-type]
        self.now = self.server.now
        self.transport = PipeTransport(Http1Connection(self.server, self.server.http1, ("192.0.2.1", 5)))

    def sweep(self, after_s: float) -> None:
        self.now += after_s
        self.server.sweep(self.now)

    async def feed(self, data: bytes) -> None:
        self.transport.feed(data)
        await settle()

    def statuses(self) -> list[int]:
        return [response.status for response in parse_responses(self.transport.written)]


async def settle() -> None:
    """Let everything that is ready run."""
    for _ in range(6):
        turned = asyncio.get_running_loop().create_future()
        asyncio.get_running_loop().call_soon(turned.set_result, None)
        await turned
