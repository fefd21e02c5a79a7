"""Closes the standard streams as daemons do, and fails when it is asked to."""

from __future__ import annotations

import os

from server_core.asgi.adapters import Receive, Scope, Send


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] != "http":
        raise RuntimeError("no lifespan")
    if scope["path"] == "/close":
        os.closerange(0, 3)
    if scope["path"] == "/fail":
        raise RuntimeError("one client's secret")
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
    await send({"type": "http.response.body", "body": b"ok"})
