"""The routes of tests/frameworks in FastAPI."""

import asyncio
from collections.abc import AsyncIterator
from typing import Annotated

from fastapi import FastAPI, File, Form, UploadFile, WebSocket, WebSocketDisconnect
from fastapi.responses import PlainTextResponse, StreamingResponse
from pydantic import BaseModel

app = FastAPI()


class Number(BaseModel):
    number: int


@app.get("/hello")
def hello(name: str) -> PlainTextResponse:
    return PlainTextResponse(f"hello {name}")


@app.post("/double")
async def double(given: Number) -> dict[str, int]:
    return {"doubled": given.number * 2}


async def ticks(form: str) -> AsyncIterator[str]:
    number = 0
    while True:
        yield form.format(number)
        number += 1
        await asyncio.sleep(0.05)


@app.get("/stream")
async def stream() -> StreamingResponse:
    return StreamingResponse(ticks("{}\n"), media_type="text/plain")


@app.get("/events")
async def events() -> StreamingResponse:
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


@app.get("/quiet")
async def left_alone() -> StreamingResponse:
    return StreamingResponse(quiet(), media_type="text/event-stream")


@app.get("/waiting")
async def count() -> PlainTextResponse:
    return PlainTextResponse(str(waiting))


@app.post("/upload")
async def upload(title: Annotated[str, Form()], file: Annotated[UploadFile, File()]) -> PlainTextResponse:
    return PlainTextResponse(f"{title} {file.filename} {len(await file.read())}")


@app.websocket("/ws")
async def echo(websocket: WebSocket) -> None:
    await websocket.accept()
    try:
        while True:
            message = await websocket.receive()
            if message["type"] == "websocket.disconnect":
                return
            if message.get("text") == "leave":
                await websocket.close(4001)
                return
            if message.get("text") is not None:
                await websocket.send_text(message["text"])
            else:
                await websocket.send_bytes(message["bytes"])
    except WebSocketDisconnect:
        return
