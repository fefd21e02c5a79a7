"""Grows from its start by MIB_A_SECOND, up to MIB_AT_MOST; tells how large it is when asked, and when it ends."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable, MutableMapping
from pathlib import Path
from typing import Final

import psutil

Message = MutableMapping[str, object]

STEP_S: Final = 0.05
RATE: Final = float(os.environ.get("MIB_A_SECOND", "40"))
MOST_BYTES: Final = int(os.environ.get("MIB_AT_MOST", "600")) << 20

held: list[bytes] = []


async def grow() -> None:
    """Keep more and more, evenly by the clock."""
    loop = asyncio.get_running_loop()
    began_at = loop.time()
    while True:
        wanted = min(MOST_BYTES, int((loop.time() - began_at) * RATE * 2**20))
        missing = wanted - sum(map(len, held))
        if missing > 0:
            held.append(b"x" * missing)
        await asyncio.sleep(STEP_S)


async def app(
    scope: MutableMapping[str, object],
    receive: Callable[[], Awaitable[Message]],
    send: Callable[[Message], Awaitable[None]],
) -> None:
    if scope["type"] == "lifespan":
        await receive()
        growing = asyncio.create_task(grow())
        await send({"type": "lifespan.startup.complete"})
        await receive()
        growing.cancel()
        Path(f"{os.getpid()}.bytes").write_text(str(psutil.Process().memory_full_info().pss))
        await send({"type": "lifespan.shutdown.complete"})
        return
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"hello"})
