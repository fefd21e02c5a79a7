"""Responses that have no end in themselves, and whose clients know that: a drain ends them (connection/drain.py)."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Final, cast

from server_core.asgi.http_exchange import Exchange
from server_core.contract.messages import CLEAN_UP_S
from server_core.http1.disconnect_grace import end as end_grace
from server_core.http1.error_response import has_begun
from server_core.http1.interface import ResponseStream

PUSHED: Final = (b"\r\ncontent-type: text/event-stream", b"\r\ncontent-type: multipart/x-mixed-replace")


def is_push(stream: ResponseStream) -> bool:
    """Whether it carries such a response."""
    exchange = stream.exchange
    if not isinstance(exchange, Exchange) or not stream.is_busy or exchange.line.method != "GET":
        return False
    head = stream.writer.plain.lower() if has_begun(stream, exchange) else b""
    return any(kind in head for kind in PUSHED)


def push_end(stream: ResponseStream) -> Callable[[], object] | None:
    """What ends such a response, later perhaps; None if it is none."""
    return partial(end_push, stream) if is_push(stream) else None


def end_push(stream: ResponseStream) -> None:
    """End it, if it still is one: the client sees the end of a body, the application a client that left."""
    if not stream.is_open or not is_push(stream):
        return
    exchange = cast(Exchange, stream.exchange)
    stream.write(stream.writer.body(b"", False))
    exchange.leave()
    stream.connection.shut()
    # Not by disconnect-grace, which may be longer than a drain can wait, or for ever.
    stream.server.loop.call_later(CLEAN_UP_S, end_grace, stream, exchange, exchange.sent_bytes)
