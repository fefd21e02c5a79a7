"""A FastAPI application with what real ones have: `supervisor-d run fastapi_app:app --workers 4`, from this directory.

Lifespan with state, a `def` endpoint (it runs in a thread), a streaming one, a background task, an endpoint that
blocks the event loop on purpose, and one that is good for `--health-path /health`.
"""

import asyncio
import os
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import BackgroundTasks, FastAPI, Request
from fastapi.responses import StreamingResponse
from pydantic import BaseModel


@asynccontextmanager
async def lifespan(_app: FastAPI) -> AsyncIterator[dict[str, object]]:
    """What is opened once per worker: a database pool, a client, a model. Here, a counter."""
    shared = {"written": 0}
    yield {"shared": shared, "started_at": time.time()}


app = FastAPI(title="supervisor-d example", lifespan=lifespan)


class Item(BaseModel):
    name: str
    price: float


@app.get("/")
async def index(request: Request) -> dict[str, object]:
    return {
        "pid": os.getpid(),
        "generation": os.environ.get("SUPERVISOR_D_GENERATION"),
        "started_at": request.state.started_at,
    }


@app.get("/health")
async def health() -> dict[str, str]:
    return {"status": "ok"}


@app.get("/sync")
def sync() -> dict[str, int]:
    """A plain `def` endpoint: it may block, because it runs in a thread of its own."""
    time.sleep(0.05)
    return {"pid": os.getpid()}


@app.post("/items")
async def create(item: Item) -> Item:
    return item


@app.get("/stream")
async def stream(lines: int = 10) -> StreamingResponse:
    async def body() -> AsyncIterator[str]:
        for number in range(lines):
            yield f"line {number}\n"
            await asyncio.sleep(0.1)

    return StreamingResponse(body(), media_type="text/plain")


@app.post("/notify")
async def notify(request: Request, background: BackgroundTasks) -> dict[str, int]:
    """Answers at once; the task runs after the response, in the same worker."""

    def write() -> None:
        request.state.shared["written"] += 1

    background.add_task(write)
    return {"written_before": request.state.shared["written"]}


@app.get("/block")
async def block(seconds: float = 60.0) -> dict[str, float]:
    """A mistake to watch: this blocks the event loop, and the incident will name this very line."""
    time.sleep(seconds)
    return {"blocked_s": seconds}
