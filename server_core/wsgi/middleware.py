"""A WSGI application as an ASGI one: served by this server itself, or mounted in any ASGI application.

Mounted (`app.mount("/admin", WSGIMiddleware(django))`) it runs in threads of its own, and talks through the messages of
ASGI: each part of a response is one, sent from the request's task while the thread waits. What keeps a thread waiting
ends with its task: one that is cancelled, because the client has gone or the server ends, raises in the thread.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from contextvars import copy_context
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from server_core.wsgi.threads import Pool
    from server_core.wsgi.types import WsgiApplication

Message = MutableMapping[str, object]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]


class WSGIMiddleware:
    """`app` as an ASGI 3 application; where it is mounted, `threads` are the most requests that it runs at once."""

    def __init__(self, app: WsgiApplication, threads: int = 10) -> None:
        # Here, with the application's import, and not with this module's: the server asks of each application whether
        # it is one of these, and most are not.
        from server_core.wsgi.mounted import Mounted
        from server_core.wsgi.threads import Pool

        self.app = app
        self._threads = threads
        self._new_pool, self._mounted = Pool, Mounted
        self._pool: tuple[asyncio.AbstractEventLoop, Pool] | None = None

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """ASGI 3. A WSGI application has no lifespan, and a WebSocket is refused."""
        if scope["type"] == "websocket":
            await send({"type": "websocket.close"})
        elif scope["type"] == "http":
            loop = asyncio.get_running_loop()
            if self._pool is None or self._pool[0] is not loop:
                if self._pool is not None:
                    self._pool[1].close()  # of a loop that has ended: its idle threads would wait for ever
                self._pool = loop, self._new_pool(self._threads, loop)
            await self._mounted(self.app, scope, loop, copy_context()).respond(self._pool[1], receive, send)
