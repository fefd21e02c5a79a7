"""Whether a connection is kept open for a next request, and what becomes of it when its client has half-closed."""

from __future__ import annotations

from typing import Final

from server_core.asgi.http_exchange import Exchange
from server_core.asgi.response_states import COMPLETE
from server_core.http.message import CHUNKED
from server_core.http1.interface import HttpConnection
from server_core.http1.pipelining import read_next
from server_core.transport.closing import OPEN
from server_core.transport.socket_info import TO_READ, queued_bytes

DISCARD_LIMIT: Final = 1 << 20
"""Bytes of a request body that are read for nothing to keep the connection. A client that writes all of it before it
reads pays more for a new connection at every size: of 64 KiB 143 us of the server's CPU against 35, of 1 MiB 683
against 291, of 16 MiB 7,143 against 5,918. One that stops when it is told saves us the rest, so that closing pays from
0.4 MiB on, without a client's round trips and TLS (python -m tests.bench.early_answer; 2 shared cores, CPython 3.11.7,
uvloop). Between the two, and above what most forms send."""


def keeps(connection: HttpConnection) -> bool:
    """Whether the response that begins now may leave the connection open. respond() asks the same in line."""
    head, server = connection.head, connection.server
    if head is None or not head.rules.keep_alive:
        return False
    return not (server.announcing or connection.half_closed or connection.reader.is_in_body) or may_keep(connection)


def may_keep(connection: HttpConnection) -> bool:
    """The rare reasons to end after a response, looked at when one of them may apply."""
    reader = connection.reader
    if connection.half_closed and not reader.held:
        return False
    if reader.is_in_body and not _may_discard(connection):
        return False
    if connection.server.announcing:
        # A next request that has come already must be answered, and behind an announced close it could not be
        return not reader.is_in_body and bool(reader.held or queued_bytes(connection.transport, TO_READ))
    return True


def _may_discard(connection: HttpConnection) -> bool:
    """Whether the rest of a body may be read for nothing, if the application does not read it.

    Decided when the head goes out, which says it: what it promises is kept, and the rest of a chunked body, as long as
    its end has not come, may be anything. An application that answers while it reads a long body can go on reading.
    """
    head, left = connection.head, connection.reader.body_left
    if head is not None and head.rules.expects and not connection.continued:
        return False  # RFC 9110 10.1.1: the client may send the body or not, so the next bytes mean nothing
    return left != CHUNKED and left <= DISCARD_LIMIT


def is_last_word(connection: HttpConnection) -> bool:
    """Whether the client said that it would send nothing more, and kept to it: no reset can come of a close."""
    head, reader = connection.head, connection.reader
    return head is not None and not head.rules.keep_alive and not reader.held and not reader.is_in_body


def hear_end(connection: HttpConnection) -> bool:
    """Take the client's FIN; True to keep the connection open, while an answer is due (RFC 9112 section 9.6).

    A client may half-close and wait. Nearly all that send a FIN are gone, though, so an application that asks is told
    of a disconnect. Of several requests that it sent before, all are answered: those that are held are read on.
    """
    if connection.mode != OPEN:
        return False
    connection.half_closed = True
    connection.flush()  # answers that waited for the next one: a transport that closes now would lose them
    exchange = connection.exchange
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
    if connection.ending.is_tls:
        return False  # a TlsTransport keeps no half of a connection
    if exchange is not None and exchange.phase is not COMPLETE:
        return True
    if connection.reader.held:  # whole requests, or the beginning of one, with which the connection ends
        read_next(connection)
    return bool(connection.reader.held)
