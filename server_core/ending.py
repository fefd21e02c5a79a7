"""How a connection ends, from the gentlest to the hardest.

shut    half-close, then read and discard for a moment, so that no reset overtakes the response (RFC 9112 section 9.6)
close   behind what is written: for clients that said they would send nothing more
cut     a response cannot be completed: the client must see that it is not whole
abort   nobody is there, or nobody can wait any longer
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from server_core.http.exchange import Exchange
from server_core.http.phases import COMPLETE
from server_core.peer import TO_BE_TAKEN, TO_READ, queued_bytes, reset_on_close

if TYPE_CHECKING:
    from server_core.connection import Connection
    from server_core.server_loop import ServerLoop
    from server_core.transport import Transport

OPEN, SHUT, LOST = range(3)
"""A connection's mode: SHUT is on its way out, LOST has no transport any more."""

LINGER_S: Final = 1.0
"""How long a half-closed connection is read. DESIGN: "half-close, linger up to 1 s, close"."""


class Ending:
    """The way out for one transport."""

    __slots__ = ("_is_lost", "_loop", "_timer", "_transport", "is_tls")

    def __init__(self, transport: Transport, loop: ServerLoop, is_tls: bool) -> None:
        self._transport = transport
        self._loop = loop
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
            self._timer = self._loop.call_later(LINGER_S, self._linger_over)

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
        elif self.is_tls:
            transport.abort()
        else:
            transport.close()


def keeps(connection: Connection) -> bool:
    """Whether the response that begins now may leave the connection open. respond() asks the same in line."""
    head, server = connection.head, connection.server
    if head is None or not head.rules.keep_alive:
        return False
    return not (server.announcing or connection.half_closed or head.rules.expects) or may_keep(connection)


def may_keep(connection: Connection) -> bool:
    """The rare reasons to end after a response, looked at when one of them may apply."""
    reader, head = connection.reader, connection.head
    if connection.half_closed and not reader.held:
        return False
    if reader.is_in_body and head is not None and head.rules.expects and not connection.continued:
        return False  # RFC 9110 10.1.1: the client may send the body or not, so the next bytes mean nothing
    if connection.server.announcing:
        # A next request that has come already must be answered, and behind an announced close it could not be
        return not reader.is_in_body and bool(reader.held or queued_bytes(connection.transport, TO_READ))
    return True


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
        connection.server.loop.call_soon(connection.read_on)
    return bool(connection.reader.held)
