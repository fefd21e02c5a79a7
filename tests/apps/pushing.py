"""Responses that may have no end, which say through the gate where they are."""

import asyncio
import os
from urllib.parse import parse_qs

from tests.apps.gated import opened, tell


async def app(scope, receive, send):
    """`kind` is the content-type; `way` how it waits: for ever, for its client, for the gate, or writing on and on."""
    if scope["type"] != "http":
        raise LookupError("no lifespan")
    asked = parse_qs(scope["query_string"].decode())
    kind, way = asked["kind"][0], asked["way"][0]
    await send({"type": "http.response.start", "status": 200, "headers": [(b"Content-Type", kind.encode())]})
    await send({"type": "http.response.body", "body": b"data: 0\n\n", "more_body": True})
    tell("streaming")
    try:
        if way == "waits":
            await asyncio.Event().wait()
        elif way == "listens":
            while (await receive())["type"] != "http.disconnect":
                pass
            tell("disconnected")
            return
        elif way == "saves":
            while (await receive())["type"] != "http.disconnect":
                pass
            await asyncio.sleep(1.0)  # work of its own, longer than one that does not listen would have
            tell("saved")
            return
        elif way == "writes":
            while True:
                await send({"type": "http.response.body", "body": b"data: 1\n\n", "more_body": True})
                await asyncio.sleep(0.01)
        else:
            await opened()
    except (asyncio.CancelledError, OSError) as error:
        tell(type(error).__name__)
        raise
    await send({"type": "http.response.body", "body": b"data: end\n\n"})


assert os.environ["GATE"]
