"""Applications of frameworks, imported only where they are installed: the bench's own environment."""

from __future__ import annotations

import os

from fastapi import FastAPI
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import Route

FILE = os.environ.get("BENCH_FILE", __file__)
"""What /file answers with; the bench makes one of 100 KiB."""


async def json(_: Request) -> Response:
    return JSONResponse({"hello": "world", "numbers": [1, 2, 3]})


async def file(_: Request) -> Response:
    return FileResponse(FILE, media_type="application/octet-stream")


starlette = Starlette(routes=[Route("/", json), Route("/file", file)])
fastapi = FastAPI()


@fastapi.get("/")
def index() -> dict[str, object]:
    """A plain function: FastAPI runs it in a thread."""
    return {"hello": "world", "numbers": [1, 2, 3]}
