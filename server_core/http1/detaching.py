"""A connection gives its transport away: to another protocol, by an upgrade (RFC 9110 section 7.8)."""

from __future__ import annotations

from typing import NamedTuple

from server_core.asgi.errors import ClientDisconnected
from server_core.http1.interface import HttpConnection
from server_core.transport.base import Transport
from server_core.transport.closing import LOST, OPEN


class Detached(NamedTuple):
    """What the connection had."""

    transport: Transport
    held: bytes
    """Bytes that came behind the request, unread."""
    is_full: bool
    """Whether the transport has asked not to be written to."""


def detach(connection: HttpConnection, head: bytes) -> Detached:
    """Answer with `head`, and give the transport away with whatever came behind the request.

    Raises ClientDisconnected if the client is gone, or has closed its half.
    """
    exchange = connection.exchange
    if connection.mode != OPEN or connection.half_closed or exchange is None or exchange.gone:
        raise ClientDisconnected("the client has closed the connection")
    connection.mode = LOST
    connection.ending.lose()
    connection.exchange = None
    connection.write(head)
    connection.reading.resume()
    detached = Detached(connection.transport, connection.reader.held, connection.full)
    connection.reader.close()
    return detached
