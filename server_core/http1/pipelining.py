"""What a client pipelines: how much may wait, unread, behind the request that is being served.

Waiting requests are bytes: to take them apart ahead of their turn would cost memory for each, and what comes of it may
be no use when their turn comes. Counted are the ends of heads, each byte looked at once, and taken off one by one. A
body that holds such an end, or an empty line too many, counts as a request that is not there: reading pauses early
then, until it has been gone through. It never pauses while more is needed of the request whose turn it is.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from server_core.asgi.http_exchange import Exchange

if TYPE_CHECKING:
    from server_core.http1.interface import HttpConnection

DEPTH: Final = 16
"""Heads that wait before reading pauses. Issue 4: "pipelined depth 16 then reading pauses"."""

HIGH_WATER: Final = 65536
"""Bytes that wait before reading pauses. asyncio's and uvloop's own mark for the other direction is the same."""

HEAD_END: Final = b"\r\n\r\n"


def hold_back(connection: HttpConnection, came: int) -> None:
    """Count what waits, of which `came` bytes are new, or none and one request fewer; pause reading if it is enough."""
    held = connection.reader.held
    if connection.reader.is_in_head:
        connection.waiting = 0  # the beginning of a head, and nothing behind it: whatever else was counted was none
    elif not came:
        connection.waiting = max(0, connection.waiting - 1)
    elif len(held) <= came:
        connection.waiting = held.count(HEAD_END)
    else:  # an end may have begun in what was there before
        connection.waiting += held.count(HEAD_END, max(0, len(held) - came - len(HEAD_END) + 1))
    if is_enough(connection):
        connection.reading.pause()


def read_next(connection: HttpConnection) -> None:
    """Go on to the next request; what is held of it is read from the loop, not from inside this one."""
    if not connection.is_open:
        return
    connection.reader.next()
    if connection.reader.held:
        connection.server.loop.call_soon(_read_held, connection)
    elif connection.half_closed:
        connection.shut()
    else:
        connection.reading.resume()


def _read_held(connection: HttpConnection) -> None:
    """Read the next request from what is held. If the client has half-closed, it is the last when nothing is behind it.

    What is still due of a half-closed connection: the answers to whole requests. One that breaks off ends it.
    """
    if not connection.is_open or connection.is_busy:
        return  # more has come meanwhile, and the next request with it
    server = connection.server
    begun = server.requests_total
    connection.data_received(b"")
    connection.stream.shared.held_heads.expect()
    connection.read_on()
    if not connection.half_closed or not connection.is_open:
        return
    exchange = connection.stream.exchange
    if connection.reader.is_in_body:
        if exchange is not None:
            exchange.leave()
        connection.close()
    elif server.requests_total == begun:
        connection.shut()
    elif isinstance(exchange, Exchange):
        exchange.hang_up()
    elif exchange is not None:  # a WebSocket's handshake, of which there is none with half of a connection
        exchange.leave()
        connection.close()


def is_enough(connection: HttpConnection) -> bool:
    """Whether so much waits behind a request that has come whole."""
    held = connection.reader.held
    if not held or connection.reader.is_in_head:
        return False
    return connection.waiting >= DEPTH or len(held) > HIGH_WATER
