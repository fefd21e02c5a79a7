"""The built-in example application: `supervisor-d run server_core.example:app`. Plain ASGI, no dependencies.

/                 an HTML page: which process of which generation answered, and links to the rest
/json             the same facts as JSON
/stream?chunks=N  N lines, one every tenth of a second
/slow?seconds=S   answers after S seconds, without blocking the event loop
/echo             POST: the body streamed back as it comes
/headers          the request as the application sees it
/ws               WebSocket: each message sent back as it came
"""

from __future__ import annotations

import asyncio
import html
import json
import os
import time
from collections.abc import Awaitable, Callable
from typing import Final
from urllib.parse import parse_qs

from server_core.asgi.adapters import AsgiMessage, Receive, Scope, Send

SECONDS_MAX: Final = 3600.0
CHUNKS_MAX: Final = 10_000

PAGE: Final = """<!doctype html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>supervisor-d</title>
<style>body {{ font: 1rem/1.5 system-ui, sans-serif; max-width: 40rem; margin: 3rem auto; padding: 0 1rem }}
dt {{ font-weight: 600 }} code {{ background: #8882; padding: 0 .2em }}</style>
<h1>It serves.</h1>
<dl><dt>process</dt><dd>{pid}</dd><dt>slot</dt><dd>{slot}</dd><dt>generation</dt><dd>{generation}</dd></dl>
<ul>
<li><a href="{root}/json">/json</a> the same as JSON
<li><a href="{root}/stream?chunks=20">/stream?chunks=20</a> a streamed answer
<li><a href="{root}/slow?seconds=2">/slow?seconds=2</a> a slow one
<li><a href="{root}/headers">/headers</a> the request as the application sees it
<li><code>curl --data-binary @FILE .../echo</code> the body streamed back
<li><code>new WebSocket(".../ws")</code> each message sent back
</ul>
"""


def facts(scope: Scope) -> dict[str, object]:
    """Who answers. The two variables are set by a supervised worker."""
    state = scope.get("state")
    return {
        "pid": os.getpid(),
        "slot": os.environ.get("SUPERVISOR_D_SLOT"),
        "generation": os.environ.get("SUPERVISOR_D_GENERATION"),
        "started_at": state.get("started_at") if isinstance(state, dict) else None,
    }


def number(scope: Scope, name: str, default: float, largest: float) -> float:
    """A number from the query string; ValueError if it is none."""
    query = scope["query_string"]
    texts = parse_qs(query.decode("ascii", "replace") if isinstance(query, bytes) else "").get(name)
    value = float(texts[0]) if texts else default
    if not 0 <= value <= largest:
        raise ValueError(f"{name}: must be from 0 to {largest:g}, not {value:g}")
    return value


async def answer(send: Send, status: int, content_type: bytes, body: bytes) -> None:
    headers = [(b"content-type", content_type), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def answer_json(send: Send, value: object) -> None:
    await answer(send, 200, b"application/json", json.dumps(value).encode() + b"\n")


async def index(scope: Scope, _receive: Receive, send: Send) -> None:
    told = {name: html.escape(str(value)) for name, value in facts(scope).items()}
    page = PAGE.format(**told, root=html.escape(str(scope.get("root_path", "")), quote=True))
    await answer(send, 200, b"text/html; charset=utf-8", page.encode())


async def as_json(scope: Scope, _receive: Receive, send: Send) -> None:
    await answer_json(send, facts(scope))


async def stream(scope: Scope, _receive: Receive, send: Send) -> None:
    chunks = int(number(scope, "chunks", 10, CHUNKS_MAX))
    headers = [(b"content-type", b"text/plain; charset=utf-8")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    for index in range(chunks):
        await send({"type": "http.response.body", "body": f"chunk {index}\n".encode(), "more_body": True})
        await pause(0.1)
    await send({"type": "http.response.body", "body": b""})


async def slow(scope: Scope, _receive: Receive, send: Send) -> None:
    seconds = number(scope, "seconds", 1.0, SECONDS_MAX)
    await pause(seconds)
    await answer_json(send, {**facts(scope), "slept_s": seconds})


async def echo(_scope: Scope, receive: Receive, send: Send) -> None:
    headers = [(b"content-type", b"application/octet-stream")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    more = True
    while more:
        message: AsgiMessage = await receive()
        if message["type"] == "http.disconnect":
            return
        more = bool(message.get("more_body", False))
        await send({"type": "http.response.body", "body": message.get("body", b""), "more_body": more})


async def echo_messages(scope: Scope, receive: Receive, send: Send) -> None:
    await receive()  # websocket.connect
    if str(scope["path"]).removeprefix(str(scope.get("root_path", ""))) != "/ws":
        await send({"type": "websocket.close"})
        return
    await send({"type": "websocket.accept"})
    while (message := await receive())["type"] == "websocket.receive":
        await send({**message, "type": "websocket.send"})


async def show_request(scope: Scope, _receive: Receive, send: Send) -> None:
    headers = scope["headers"]
    pairs = [[name.decode("latin-1"), value.decode("latin-1")] for name, value in headers]  # type: ignore[attr-defined]  # ASGI: pairs of bytes
    names = ("method", "scheme", "path", "root_path", "http_version", "client", "server")
    await answer_json(send, {**{name: scope.get(name) for name in names}, "headers": pairs})


ROUTES: Final[dict[str, Callable[[Scope, Receive, Send], Awaitable[None]]]] = {
    "/": index,
    "/json": as_json,
    "/stream": stream,
    "/slow": slow,
    "/echo": echo,
    "/headers": show_request,
}


async def pause(seconds: float) -> None:
    """Wait without blocking the loop."""
    await asyncio.sleep(seconds)  # noqa: TID251  # this application's whole purpose here is to take its time


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] == "lifespan":
        await lifespan(scope, receive, send)
        return
    if scope["type"] == "websocket":
        await echo_messages(scope, receive, send)
        return
    if scope["type"] != "http":
        raise NotImplementedError(f"this example does not speak {scope['type']}")
    path = str(scope["path"]).removeprefix(str(scope.get("root_path", "")))
    route = ROUTES.get(path or "/")
    if route is None:
        await answer(send, 404, b"text/plain; charset=utf-8", f"nothing at {path}; see /\n".encode())
        return
    try:
        await route(scope, receive, send)
    except ValueError as error:
        await answer(send, 400, b"text/plain; charset=utf-8", f"{error}\n".encode())


async def lifespan(scope: Scope, receive: Receive, send: Send) -> None:
    """Start-up fills the state that every request is given a copy of; shutdown has nothing to do."""
    await receive()
    state = scope["state"]
    if isinstance(state, dict):
        state["started_at"] = time.time()
    await send({"type": "lifespan.startup.complete"})
    await receive()
    await send({"type": "lifespan.shutdown.complete"})
