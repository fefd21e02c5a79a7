"""The last emptying of the accept queues, where no other worker follows.

It is over when the kernel says that no handshake is under way, and after that the queue is found empty: if new clients
are kept out by then, none is reset with its request. Where there is a handshake (or no descriptor for a client in the
queue), it looks again a moment later.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Iterable
from typing import Final

from server_core.listen import accept_queue
from server_core.listen.accept_outcome import Taken
from server_core.runtime.server_loop import ServerLoop

HANDSHAKES_S: Final = 0.5
"""How long the last emptying waits for handshakes under way. Chosen: more than a round trip between continents, and
less than the second after which a new client's kernel asks again (RFC 6298 section 2), so that it is refused then."""
LOOK_S: Final = 0.02
"""Between two looks of the last emptying; chosen: no client in the queue notices it."""


class LastEmptying:
    """Looks until every listener is closed. `take` takes one connection off a queue, `shut` closes listeners."""

    __slots__ = ("_handshakes_until", "_loop", "_next_look", "_shut", "_take")

    def __init__(
        self,
        loop: ServerLoop,
        take: Callable[[socket.socket], Taken],
        shut: Callable[[list[socket.socket]], None],
    ) -> None:
        self._loop = loop
        self._take = take
        self._shut = shut
        self._handshakes_until = loop.time() + HANDSHAKES_S
        self._next_look: asyncio.TimerHandle | None = None

    def look(self, listeners: Iterable[socket.socket]) -> None:
        """Take what is there, close what is emptied, and look again later at what is left of `listeners` by then."""
        is_over = self._loop.time() >= self._handshakes_until
        found = list(listeners)
        emptied = [listener for listener in found if self._is_emptied(listener, is_over)]
        if len(emptied) < len(found):
            self._next_look = self._loop.call_later(LOOK_S, self.look, listeners)
        self._shut(emptied)

    def cancel(self) -> None:
        """Look no more."""
        if self._next_look is not None:
            self._next_look.cancel()

    def _is_emptied(self, listener: socket.socket, is_over: bool) -> bool:
        """Take each client that is there. The kernel is asked first: what has come in since is in the queue."""
        is_expected = not is_over and accept_queue.under_way(listener)
        while (taken := self._take(listener)) in (Taken.ONE, Taken.GONE):
            pass
        return taken is Taken.SHUT_DOWN or (taken is Taken.NO_CLIENT and not is_expected)
