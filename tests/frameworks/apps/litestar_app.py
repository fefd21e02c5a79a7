"""The routes of tests/frameworks in Litestar."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Annotated

from litestar import Litestar, WebSocket, get, post, websocket
from litestar.datastructures import UploadFile
from litestar.enums import MediaType, RequestEncodingType
from litestar.exceptions import WebSocketDisconnect
from litestar.params import Body
from litestar.response import ServerSentEvent, Stream


@get("/hello", media_type=MediaType.TEXT)
async def hello(name: str) -> str:
    return f"hello {name}"


@dataclass
class Number:
    number: int


@post("/double", status_code=200)
async def double(data: Number) -> dict[str, int]:
    return {"doubled": data.number * 2}


async def ticks(form: str) -> AsyncIterator[str]:
    number = 0
    while True:
        yield form.format(number)
        number += 1
        await asyncio.sleep(0.05)


@get("/stream")
async def stream() -> Stream:
    return Stream(ticks("{}\n"), media_type="text/plain")


@get("/events")
async def events() -> ServerSentEvent:
    return ServerSentEvent(ticks("{}"))


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


@get("/quiet")
async def left_alone() -> Stream:
    return Stream(quiet(), media_type="text/event-stream")


@get("/waiting", media_type=MediaType.TEXT)
async def count() -> str:
    return str(waiting)


@dataclass
class Form:
    title: str
    file: UploadFile


@post("/upload", status_code=200, media_type=MediaType.TEXT)
async def upload(data: Annotated[Form, Body(media_type=RequestEncodingType.MULTI_PART)]) -> str:
    return f"{data.title} {data.file.filename} {len(await data.file.read())}"


@websocket("/ws")
async def echo(socket: WebSocket) -> None:
    await socket.accept()
    try:
        while True:
            message = await socket.receive()
            if message["type"] == "websocket.disconnect":
                return
            if message.get("text") == "leave":
                await socket.close(code=4001)
                return
            if message.get("text") is not None:
                await socket.send_text(message["text"])
            else:
                await socket.send_bytes(message["bytes"])
    except WebSocketDisconnect:
        return


app = Litestar([hello, double, stream, events, left_alone, count, upload, echo])
