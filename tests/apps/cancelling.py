"""Applications that take the event loop for theirs: cancel every task but their own, and wait for them."""

from __future__ import annotations

import asyncio

from server_core.asgi.adapters import AsgiMessage, Receive, Scope, Send


async def cancel_others() -> None:
    """As many a recipe has it."""
    others = asyncio.all_tasks() - {asyncio.current_task()}
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)


def refuse(_loop: asyncio.AbstractEventLoop, _run: object, **_more: object) -> asyncio.Future[object]:
    """A task factory that makes none."""
    raise TypeError("factory() got an unexpected keyword argument")


async def at_its_shutdown(scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] == "lifespan":
        await _live(receive, send, cancel=True)


async def in_a_request(scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] == "lifespan":
        await _live(receive, send)
        return
    if scope["path"] == "/cancel":
        await cancel_others()
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
    await send({"type": "http.response.body", "body": b"ok"})


async def with_a_factory(scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] == "lifespan":
        asyncio.get_running_loop().set_task_factory(refuse)
        await _live(receive, send)
        return
    await in_a_request(scope, receive, send)


async def _live(receive: Receive, send: Send, *, cancel: bool = False) -> None:
    await receive()
    await _say(send, "lifespan.startup.complete")
    await receive()
    if cancel:
        await cancel_others()
    await _say(send, "lifespan.shutdown.complete")


async def _say(send: Send, what: str) -> None:
    message: AsgiMessage = {"type": what}
    await send(message)
