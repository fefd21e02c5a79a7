"""The routes of tests/frameworks in Quart."""

import asyncio
from collections.abc import AsyncIterator

from quart import Quart, Response, request, websocket

app = Quart(__name__)


@app.get("/hello")
async def hello() -> str:
    return f"hello {request.args['name']}"


@app.post("/double")
async def double() -> dict[str, int]:
    return {"doubled": (await request.get_json())["number"] * 2}


async def ticks(form: str) -> AsyncIterator[bytes]:
    number = 0
    while True:
        yield form.format(number).encode()
        number += 1
        await asyncio.sleep(0.05)


def endless(form: str, kind: str) -> Response:
    response = Response(ticks(form), content_type=kind)
    response.timeout = None
    return response


@app.get("/stream")
async def stream() -> Response:
    return endless("{}\n", "text/plain")


@app.get("/events")
async def events() -> Response:
    return endless("data: {}\n\n", "text/event-stream")


waiting = 0
"""Streams that wait for what never happens, as those of server-sent events on a quiet queue."""


async def quiet() -> AsyncIterator[bytes]:
    global waiting
    waiting += 1
    try:
        yield b"begun\n"
        await asyncio.Event().wait()
    finally:
        waiting -= 1


@app.get("/quiet")
async def left_alone() -> Response:
    response = Response(quiet(), content_type="text/event-stream")
    response.timeout = None
    return response


@app.get("/waiting")
async def count() -> str:
    return str(waiting)


@app.post("/upload")
async def upload() -> str:
    form, files = await request.form, await request.files
    file = files["file"]
    return f"{form['title']} {file.filename} {len(file.read())}"


@app.websocket("/ws")
async def echo() -> None:
    while True:
        message = await websocket.receive()
        if message == "leave":
            await websocket.close(4001)
            return
        await websocket.send(message)
