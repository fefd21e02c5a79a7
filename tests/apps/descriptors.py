"""Needs a descriptor for /open, goes on answering /busy until its client is gone, and is quick with all others."""

from __future__ import annotations

from server_core.asgi.http_exchange import Message, Receive, Send


async def app(scope: Message, receive: Receive, send: Send) -> None:
    if scope["type"] != "http":
        return
    more: object = True
    while more:
        message = await receive()
        more = message.get("more_body")
    if scope["path"] == "/busy":
        await send({"type": "http.response.start", "status": 200})
        await send({"type": "http.response.body", "body": b"x", "more_body": True})
        await receive()
        return
    if scope["path"] == "/open":
        with open("/dev/null") as file:
            file.fileno()
    await send({"type": "http.response.start", "status": 200})
    await send({"type": "http.response.body", "body": b"x"})
