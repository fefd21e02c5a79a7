"""What a front end forwards is what we serve: every transcript through real proxies, on connections that they share.

A request hidden in another one would be served here without that any client gets its answer, or the answers would be
shifted: so what the application was asked and what the clients were answered must be the same list.
"""

from __future__ import annotations

import asyncio
import re
from pathlib import Path

import pytest

from server_core.asgi.http_exchange import Message, Receive, Send
from tests.conformance.cases import Case, all_cases
from tests.conformance.oracle import Limits, read
from tests.helpers.fronts import fronted
from tests.helpers.http import DEADLINE_S, run, serving

LAST = b"GET /last HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
"""Sent behind every transcript, so that a front end which understands all of it closes the connection."""

ASKED = re.compile(rb"x-asked: ([^\r]*)\r", re.IGNORECASE)

CASES = [case for case in all_cases() if not case.settings and read(case.sent + LAST, Limits()).end != "open"]


async def told_through(port: int, sent: bytes) -> list[bytes]:
    """What the application says that it was asked, in the answers that one client gets."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(sent)
    data = b""
    try:
        async with asyncio.timeout(DEADLINE_S):
            while part := await reader.read(65536):
                data += part
    except ConnectionResetError:  # it gets no more
        pass
    writer.close()
    return ASKED.findall(data)


@pytest.mark.parametrize(("front", "parser"), [("nginx", "httptools"), ("haproxy", "httptools"), ("haproxy", "h11")])
def test_no_request_is_hidden_from_the_front_end(front: str, parser: str, tmp_path: Path) -> None:
    asked: list[bytes] = []
    heard: list[bytes] = []

    async def app(scope: Message, receive: Receive, send: Send) -> None:
        body, more = b"", True
        while more:
            message = await receive()
            body += message.get("body", b"")  # type: ignore[operator]  # bytes, as ASGI says
            more = bool(message.get("more_body"))
        text = f"{len(asked)} {scope['method']} {scope['raw_path']!r} {scope['query_string']!r} {body!r}".encode()
        asked.append(text)
        await send({"type": "http.response.start", "status": 200, "headers": [(b"x-asked", text)]})
        await send({"type": "http.response.body"})

    async def scenario() -> None:
        async with serving(app, http=parser) as served:
            with fronted(front, tmp_path, "{}:{}".format(*served.address)) as started:
                for case in CASES:
                    await one(started.port, case)

        assert len(heard) > 100

    async def one(port: int, case: Case) -> None:
        asked.clear()
        told = await told_through(port, case.sent + LAST)
        assert told == asked, case.claim
        heard.extend(told)

    run(scenario())


def test_most_transcripts_are_sent() -> None:
    assert len(CASES) > 150
