"""The routes of tests/frameworks in Starlette."""

import asyncio
from collections.abc import AsyncIterator

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket


async def hello(request: Request) -> Response:
    return PlainTextResponse(f"hello {request.query_params['name']}")


async def double(request: Request) -> Response:
    return JSONResponse({"doubled": (await request.json())["number"] * 2})


async def ticks(form: str) -> AsyncIterator[str]:
    number = 0
    while True:
        yield form.format(number)
        number += 1
        await asyncio.sleep(0.05)


async def stream(request: Request) -> Response:
    return StreamingResponse(ticks("{}\n"), media_type="text/plain")


async def events(request: Request) -> Response:
    return StreamingResponse(ticks("data: {}\n\n"), media_type="text/event-stream")


waiting = 0
"""Streams that wait for what never happens, as those of server-sent events on a quiet queue."""


async def quiet() -> AsyncIterator[str]:
    global waiting
    waiting += 1
    try:
        yield "begun\n"
        await asyncio.Event().wait()
    finally:
        waiting -= 1


async def left_alone(request: Request) -> Response:
    return StreamingResponse(quiet(), media_type="text/event-stream")


async def count(request: Request) -> Response:
    return PlainTextResponse(str(waiting))


async def upload(request: Request) -> Response:
    async with request.form() as form:
        file = form["file"]
        return PlainTextResponse(f"{form['title']} {file.filename} {len(await file.read())}")


async def echo(websocket: WebSocket) -> None:
    await websocket.accept()
    while (message := await websocket.receive())["type"] == "websocket.receive":
        if message.get("text") == "leave":
            await websocket.close(4001)
            return
        await websocket.send({**message, "type": "websocket.send"})


app = Starlette(
    routes=[
        Route("/hello", hello),
        Route("/double", double, methods=["POST"]),
        Route("/stream", stream),
        Route("/events", events),
        Route("/quiet", left_alone),
        Route("/waiting", count),
        Route("/upload", upload, methods=["POST"]),
        WebSocketRoute("/ws", echo),
    ]
)
