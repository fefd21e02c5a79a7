"""What becomes of a connection whose client has closed its half (RFC 9112 section 9.6)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from server_core.asgi.http_exchange import Exchange
from server_core.http1.pipelining import read_next

if TYPE_CHECKING:
    from server_core.http1.interface import HttpConnection


def keeps_half(connection: HttpConnection) -> bool:
    """Take the client's FIN, which was noted; True to keep the connection open, while an answer is due.

    A client may half-close and wait. Nearly all that send a FIN are gone, though, so an application that asks is told
    of a disconnect. Of several requests that it sent before, all are answered: those that are held are read on.
    """
    stream = connection.stream
    stream.flush()  # answers that waited for the next one: a transport that closes now would lose them
    exchange = stream.exchange
    if connection.reader.is_in_body:
        if exchange is not None:
            exchange.leave()
        return False
    if isinstance(exchange, Exchange):
        exchange.hang_up()
    elif exchange is not None:
        # A handshake: there is no WebSocket with half of a connection, and whatever is answered would not be one
        exchange.leave()
        return False
    if not connection.transport.supports_half_close:
        return False
    if stream.is_busy:
        return True
    if connection.reader.held:  # whole requests, or the beginning of one, with which the connection ends
        read_next(connection)
    return bool(connection.reader.held)
