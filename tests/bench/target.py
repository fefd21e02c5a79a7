"""Our server alone, for the benches: python -m tests.bench.target APP PORT [setting=value ...]; no worker."""

from __future__ import annotations

import asyncio
import socket
import sys

import uvloop

from server_core import log
from server_core.server.server import Server
from server_core.settings.declaration import ServerSettings
from server_core.settings.option import declared
from tests.bench import apps


async def serve(name: str, port: int, texts: list[str]) -> None:
    """Serve until killed, with the sweep that a worker's heartbeat would make."""
    loop = asyncio.get_running_loop()
    rows = declared(ServerSettings)
    given = dict(text.split("=", 1) for text in texts)
    settings = ServerSettings(**{key: rows[key].kind.parse(value) for key, value in given.items()})  # type: ignore[arg-type]
    server = Server(getattr(apps, name), settings, loop, log=log.setup(form="json", level="info", table=log.EVENTS))
    listener = socket.create_server(("127.0.0.1", port), backlog=2048)
    server.listen(listener)
    server.serve()

    def beat() -> None:
        server.sweep(loop.time())
        loop.call_later(1.0, beat)

    beat()
    await loop.create_future()


if __name__ == "__main__":
    uvloop.run(serve(sys.argv[1], int(sys.argv[2]), sys.argv[3:]))
