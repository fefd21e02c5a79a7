"""How a connection ends, from the gentlest to the hardest.

shut    half-close, then read and discard for a moment, so that no reset overtakes the response (RFC 9112 section 9.6);
        longer where the client is uploading, which may read the response only when it is done
close   behind what is written: for clients that said they would send nothing more
cut     a response cannot be completed: the client must see that it is not whole
abort   nobody is there, or nobody can wait any longer
"""

from __future__ import annotations

import asyncio
from typing import Final, Protocol

from server_core.runtime.server_loop import ServerLoop
from server_core.transport.base import Transport
from server_core.transport.socket_info import TO_BE_TAKEN, arrivals, queued_bytes, reset_on_close

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


class DrainState(Protocol):
    """What a way out depends on besides its transport."""

    loop: ServerLoop
    draining: bool
    is_last: bool
    """Whether it drains and no other worker follows."""


class LingeringClose:
    """The way out for one transport."""

    __slots__ = ("_is_lost", "_longest_until", "_seen_bytes", "_server", "_timer", "_transport")

    def __init__(self, transport: Transport, server: DrainState) -> None:
        self._transport = transport
        self._server = server
        self._longest_until = 0.0
        self._seen_bytes = -1
        """What had come at the last look; -1 before the first."""
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
        if half_closed or not self._transport.supports_half_close:
            self.close()
        else:
            self._transport.write_eof()
            self._linger()

    def close(self) -> None:
        """Close behind what is written. TLS says goodbye both ways; a client that does not answer is not waited for."""
        self._transport.close()
        if not self._transport.supports_half_close:
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
        ends_both = not transport.supports_half_close
        if transport.get_write_buffer_size() or (ends_both and queued_bytes(transport, TO_BE_TAKEN)):
            self._linger()  # not all is taken yet: write-timeout watches
        elif self._is_under_way() if self._server.is_last else self._is_sent_to():
            self._linger()
        elif ends_both:
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
