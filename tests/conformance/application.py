"""The application behind the transcripts: reflects what it was asked, or breaks a rule if the path says so."""

from __future__ import annotations

from collections.abc import Mapping

from server_core.asgi.http_exchange import Message, Receive, Send
from tests.helpers.http import reflect

BODY = "http.response.body"


def start(*fields: tuple[bytes, bytes], status: int = 200) -> Message:
    return {"type": "http.response.start", "status": status, "headers": list(fields)}


def whole(*fields: tuple[bytes, bytes], body: bytes = b"hello", status: int = 200) -> list[Message]:
    return [start(*fields, status=status), {"type": BODY, "body": body}]


LENGTH, CODING = b"content-length", b"transfer-encoding"

ANSWERS: Mapping[str, list[Message]] = {
    "/value-crlf": whole((b"a", b"b\r\nset-cookie: c")),
    "/value-lf": whole((b"a", b"b\nc")),
    "/value-cr": whole((b"a", b"b\rc")),
    "/value-nul": whole((b"a", b"b\x00c")),
    "/name-crlf": whole((b"a\r\nb", b"c")),
    "/name-space": whole((b"a b", b"c")),
    "/name-empty": whole((b"", b"c")),
    "/lengths": whole((LENGTH, b"5"), (LENGTH, b"5")),
    "/lengths-differ": whole((LENGTH, b"5"), (LENGTH, b"6")),
    "/length-list": whole((LENGTH, b"5, 5")),
    "/length-list-differs": whole((LENGTH, b"5, 6")),
    "/length-spaces": whole((LENGTH, b" 5\t")),
    "/length-sign": whole((LENGTH, b"+5")),
    "/framings": whole((LENGTH, b"5"), (CODING, b"chunked")),
    "/coding": whole((CODING, b"gzip, chunked")),
    "/codings": whole((CODING, b"gzip"), (b"Transfer-Encoding", b"identity"), (CODING, b"")),
    "/coded-parts": [
        start((CODING, b"gzip")),
        {"type": BODY, "body": b"hel", "more_body": True},
        {"type": BODY, "body": b"lo"},
    ],
    "/chunked": whole((CODING, b"chunked")),
    "/longer": whole((LENGTH, b"4")),
    "/grows": [start((LENGTH, b"4")), {"type": BODY, "body": b"hell", "more_body": True}, {"type": BODY, "body": b"o"}],
    "/shrinks": [start((LENGTH, b"6")), {"type": BODY, "body": b"he", "more_body": True}, {"type": BODY, "body": b"l"}],
    "/breaks": [start(), {"type": BODY, "body": b"hello", "more_body": True}],
    "/returns": [],
    "/no-content": whole(status=204),
    "/not-modified": whole(status=304),
    "/status-100": whole(status=100),
    "/closes": whole((b"connection", b"close"), body=b"bye"),
}
"""What is sent for a path, before the application returns."""


async def answer(scope: Message, receive: Receive, send: Send) -> None:
    path = str(scope["path"])
    if path == "/raises":
        raise ValueError(path)
    if path not in ANSWERS:
        await reflect(scope, receive, send)
        return
    for message in ANSWERS[path]:
        await send(message)
