"""Server-sent events by sse-starlette and by Starlette alone, a long poll and a WebSocket; all of them wait."""

import asyncio

from sse_starlette.sse import EventSourceResponse
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket


async def waiting(first):
    yield first
    await asyncio.Event().wait()


async def events(_request: Request) -> Response:
    return StreamingResponse(waiting(b"data: 0\n\n"), media_type="text/event-stream")


async def library(_request: Request) -> Response:
    return EventSourceResponse(waiting({"data": "0"}))


async def poll(request: Request) -> Response:
    await request.scope["extensions"]["supervisor_d.draining"]
    return PlainTextResponse("nothing new")


async def socket(websocket: WebSocket) -> None:
    await websocket.accept()
    while True:
        await websocket.receive_text()


app = Starlette(
    routes=[
        Route("/events", events),
        Route("/library", library),
        Route("/poll", poll),
        WebSocketRoute("/socket", socket),
    ]
)
