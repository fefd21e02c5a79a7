"""How a connection ends, from the gentlest to the hardest.

shut    half-close, then read and discard for a moment, so that no reset overtakes the response (RFC 9112 section 9.6);
        longer where the client is uploading, which may read the response only when it is done
close   behind what is written: for clients that said they would send nothing more
cut     a response cannot be completed: the client must see that it is not whole
abort   nobody is there, or nobody can wait any longer
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from server_core.asgi.http_exchange import Exchange
from server_core.asgi.response_states import COMPLETE
from server_core.http.message import CHUNKED
from server_core.http1.pipelining import read_next
from server_core.transport.socket_info import TO_BE_TAKEN, TO_READ, arrivals, queued_bytes, reset_on_close

if TYPE_CHECKING:
    from server_core.connection.context import Traffic
    from server_core.http1.connection import Connection
    from server_core.transport.base import Transport

OPEN, SHUT, LOST = range(3)
"""A connection's mode: SHUT is on its way out, LOST has no transport any more."""

LINGER_S: Final = 1.0
"""How long a half-closed connection is read. DESIGN: "half-close, linger up to 1 s, close"."""

LINGER_LAST_S: Final = 0.3
"""The same where no other worker follows, once the client's kernel has acknowledged the FIN and nothing has arrived for
as long: what crossed the FIN has arrived then, and more would only be dropped. Else LINGER_S. Chosen: a client that
reacts to the end of a response does so in less, and the stop of a daemon waits for it."""

LINGER_LONGEST_S: Final = 30.0
LINGER_RATE: Final = 1024
"""How long it is read if the client goes on sending, and how many bytes a second that takes. Precedent for the time:
nginx's lingering_time. The rate is chosen: slower ones have mostly read the response."""

DISCARD_LIMIT: Final = 1 << 20
"""Bytes of a request body that are read for nothing to keep the connection. A client that writes all of it before it
reads pays more for a new connection at every size: of 64 KiB 143 us of the server's CPU against 35, of 1 MiB 683
against 291, of 16 MiB 7,143 against 5,918. One that stops when it is told saves us the rest, so that closing pays from
0.4 MiB on, without a client's round trips and TLS (python -m tests.bench.early_answer; 2 shared cores, CPython 3.11.7,
uvloop). Between the two, and above what most forms send."""


class Ending:
    """The way out for one transport."""

    __slots__ = ("_is_lost", "_longest_until", "_seen_bytes", "_server", "_timer", "_transport", "is_tls")

    def __init__(self, transport: Transport, server: Traffic, is_tls: bool) -> None:
        self._transport = transport
        self._server = server
        self._longest_until = 0.0
        self._seen_bytes = -1
        """What had come at the last look; -1 before the first."""
        self.is_tls = is_tls
        self._is_lost = False
        self._timer: asyncio.TimerHandle | None = None

    def lose(self) -> None:
        """The connection is gone, or its transport given away: nothing more is done.

        A timer that was left to run out would keep what belongs to the connection in memory for as long.
        """
        self._is_lost = True
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _linger(self) -> None:
        if self._timer is None and not self._is_lost:
            loop = self._server.loop
            self._timer = loop.call_later(LINGER_LAST_S if self._server.is_last else LINGER_S, self._linger_over)
            if not self._longest_until:
                self._longest_until = loop.time() + LINGER_LONGEST_S

    def shut(self, half_closed: bool) -> None:
        """Half-close, and linger; `half_closed` says that the client has done so already."""
        if half_closed or not self._transport.can_write_eof():
            self.close()
        else:
            self._transport.write_eof()
            self._linger()

    def close(self) -> None:
        """Close behind what is written. TLS says goodbye both ways; a client that does not answer is not waited for."""
        self._transport.close()
        if self.is_tls:
            self._linger()

    def cut(self, by_reset: bool) -> None:
        """Close so that it looks wrong; `by_reset` where a mere close would look like an end."""
        if by_reset:
            if (fd := self._transport.fileno()) >= 0:
                reset_on_close(fd)
            self._transport.abort()
        else:
            self.close()

    def abort(self) -> None:
        self._transport.abort()

    def _linger_over(self) -> None:
        self._timer = None
        transport = self._transport
        if transport.get_write_buffer_size() or (self.is_tls and queued_bytes(transport, TO_BE_TAKEN)):
            self._linger()  # not all is taken yet: write-timeout watches
        elif self._is_under_way() if self._server.is_last else self._is_sent_to():
            self._linger()
        elif self.is_tls:
            transport.abort()
        else:
            transport.close()

    def _is_under_way(self) -> bool:
        """Whether the client may not know of the end yet, or still sends, and LINGER_S is not over."""
        if self._server.loop.time() >= self._longest_until - LINGER_LONGEST_S + LINGER_S:
            return False
        found = arrivals(self._transport)
        return queued_bytes(self._transport, TO_BE_TAKEN) > 0 or (found is not None and found.quiet_s < LINGER_LAST_S)

    def _is_sent_to(self) -> bool:
        """Whether the client sends so fast that a reset might overtake the response, and may be waited for."""
        if self._server.draining or self._server.loop.time() >= self._longest_until:
            return False
        found = arrivals(self._transport)
        if found is None:
            return False
        seen, self._seen_bytes = self._seen_bytes, found.total
        # At first, what came since the half-close is not known; nobody needs to be asked about most connections then
        return found.quiet_s < LINGER_S if seen < 0 else found.total - seen >= LINGER_RATE * LINGER_S


def keeps(connection: Connection) -> bool:
    """Whether the response that begins now may leave the connection open. respond() asks the same in line."""
    head, server = connection.head, connection.server
    if head is None or not head.rules.keep_alive:
        return False
    return not (server.announcing or connection.half_closed or connection.reader.is_in_body) or may_keep(connection)


def may_keep(connection: Connection) -> bool:
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


def _may_discard(connection: Connection) -> bool:
    """Whether the rest of a body may be read for nothing, if the application does not read it.

    Decided when the head goes out, which says it: what it promises is kept, and the rest of a chunked body, as long as
    its end has not come, may be anything. An application that answers while it reads a long body can go on reading.
    """
    head, left = connection.head, connection.reader.body_left
    if head is not None and head.rules.expects and not connection.continued:
        return False  # RFC 9110 10.1.1: the client may send the body or not, so the next bytes mean nothing
    return left != CHUNKED and left <= DISCARD_LIMIT


def is_last_word(connection: Connection) -> bool:
    """Whether the client said that it would send nothing more, and kept to it: no reset can come of a close."""
    head, reader = connection.head, connection.reader
    return head is not None and not head.rules.keep_alive and not reader.held and not reader.is_in_body


def hear_end(connection: Connection) -> bool:
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
        return False  # a TlsStream keeps no half of a connection
    if exchange is not None and exchange.phase is not COMPLETE:
        return True
    if connection.reader.held:  # whole requests, or the beginning of one, with which the connection ends
        read_next(connection)
    return bool(connection.reader.held)
