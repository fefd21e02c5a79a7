"""Room for the next connection: what happens at limit-connections, and when descriptors run short.

limit-connections   the operator's number: who comes next waits in the accept queue until somebody leaves, or another
                    worker takes him. Nobody is sent away for him.
descriptors         the kernel's number (RLIMIT_NOFILE, or ENFILE for the whole machine), and others' silence can use it
                    up. The last descriptors are a reserve: a connection that comes to have one of them makes the one
                    that can best be spared give way, so that the newcomer is served at once and the application can
                    still open its files. Where an accept fails all the same, the same is done, and the queues are
                    left alone until a descriptor is free.

Who can be spared is a table (connection/eviction.py).
"""

from __future__ import annotations

import heapq
import resource
import socket
import sys
from collections import deque
from collections.abc import Callable
from time import monotonic
from typing import Final

from server_core.connection.context import ServerContext
from server_core.connection.eviction import NEVER, NEW_S, SILENT, UNHEARD
from server_core.connection.interface import ManagedConnection
from server_core.listen.acceptor import AT_LIMIT, NO_DESCRIPTOR, Acceptor
from server_core.listen.pending_connection import PendingConnection
from server_core.log_throttle import LogThrottle

RESERVE: Final = 64
"""Descriptors that connections may have only in another's place; of small limits an eighth. Chosen; no evidence."""

BATCH: Final = 16
"""One search finds a sixteenth of the connections, so that it costs each newcomer 16 looks, however many there are."""

LOOK_S: Final = 0.1
"""After a search for nothing, how long until the next, and until somebody is accepted again. Chosen; no evidence."""

Victim = ManagedConnection | PendingConnection


class ConnectionLimit:
    """Counts newcomers against both limits: the listeners' crowd, which hears of everybody who comes and goes."""

    __slots__ = (
        *("_allowed", "_failing", "_full", "_leaving", "_limit", "_listeners", "_on_close", "_on_settled"),
        *("_reserved_from", "_search_at", "_server", "_short", "_spared"),
    )

    def __init__(
        self, server: ServerContext, *, on_settled: Callable[[], object], on_close: Callable[[], object]
    ) -> None:
        """`on_settled` is called when an accepted socket is none of the listeners' any more, `on_close` when all of
        them are closed."""
        self._server = server
        self._listeners: Acceptor
        self._on_settled, self._on_close = on_settled, on_close
        self._limit = server.settings.limit_connections
        self._reserved_from: int | None = None
        """The first descriptor of the reserve; None until somebody comes after a sweep."""
        self._allowed = sys.maxsize
        """Connections that leave the reserve alone, as far as it is known: their descriptors do not tell, because who
        comes for another gets a low one. Forgotten at each sweep, because the application's descriptors come and go."""
        self._spared: deque[tuple[int, Victim]] = deque()
        """What the last search found, in order."""
        self._leaving: set[Victim] = set()
        self._search_at = 0.0
        """When the next search may find somebody."""
        self._full, self._short, self._failing = LogThrottle(), LogThrottle(), LogThrottle()

    def attach(self, listeners: Acceptor) -> None:
        """The listeners that are held while there is no room; once, before they accept."""
        self._listeners = listeners

    def renew(self) -> None:
        """Have the limit looked at again, which prlimit(1) can change at any moment; called by the sweep.

        By the next who comes, so that a worker with nothing to do makes no system call for it.
        """
        self._reserved_from = None
        self._allowed = sys.maxsize
        self._search_at = 0.0

    def _look(self) -> int:
        limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        is_known = limit != resource.RLIM_INFINITY
        self._reserved_from = first = limit - min(RESERVE, limit // 8) if is_known else sys.maxsize
        return first

    # What the listeners tell

    def come(self, fd: int) -> None:
        server = self._server
        reserved_from = self._reserved_from
        excess = fd + 1 - (self._look() if reserved_from is None else reserved_from)
        if excess > 0:  # the kernel gives the lowest free one (open(2)), so that all below are taken
            if self._short.begins():
                server.log("descriptors.short", connections=len(server.connections), descriptor=fd)
            self._allowed = self._count() - excess
        while self._count() - len(self._leaving) > self._allowed:
            if not self._make():
                self._listeners.hold(NO_DESCRIPTOR, LOOK_S)  # the rest of the reserve is the application's
                break
        if self._is_full():
            if self._full.begins():
                server.log("connections.limited", connections=len(server.connections), limit=self._limit)
            self._listeners.hold(AT_LIMIT)

    def fail(self, error: OSError, retry_s: float) -> None:
        if self._failing.begins():
            self._server.log("accept.failed", error=str(error), retry_s=retry_s)
        self.renew()
        if not self._leaving:
            self._make()

    def settle(self, arrival: PendingConnection) -> None:
        self._leaving.discard(arrival)
        self._release_limit()
        self._on_settled()

    def close(self) -> None:
        self._on_close()

    def abandon(self, listener: socket.socket, waiting: int) -> None:
        self._server.log("listener.abandoned", address=str(listener.getsockname()), waiting=waiting)

    def leave(self, gone: ManagedConnection) -> None:
        """A connection is gone, and its descriptor free."""
        self._leaving.discard(gone)
        self._release_limit()
        self._listeners.release(NO_DESCRIPTOR)

    def _release_limit(self) -> None:
        if self._limit and not self._is_full():
            self._listeners.release(AT_LIMIT)

    # Who makes room

    def _count(self) -> int:
        return len(self._server.connections) + len(self._listeners.adopting)

    def _is_full(self) -> bool:
        return 0 < self._limit <= self._count()

    def _make(self) -> bool:
        """End the connection that can best be spared; False if there is none."""
        victim = self._next()
        if victim is None and monotonic() >= self._search_at:
            self._search()
            victim = self._next()
        if victim is None:
            return False
        self._server.counters.count("evictions_total")
        self._leaving.add(victim)
        if isinstance(victim, PendingConnection):
            victim.cancel()
        else:
            victim.evict()
        return True

    def _next(self) -> Victim | None:
        """The next that the last search found, and that still is what it was."""
        while self._spared:
            kind, victim = self._spared.popleft()
            if victim in self._leaving or self._rank(victim)[0] != kind:
                continue
            if kind in UNHEARD and not isinstance(victim, PendingConnection) and victim.has_unread():
                continue
            return victim
        return None

    def _search(self) -> None:
        server = self._server
        everybody: tuple[Victim, ...] = (*server.connections, *self._listeners.adopting)
        victims = [one for one in everybody if one not in self._leaving]
        ranked = ((*self._rank(victim), number) for number, victim in enumerate(victims))
        found = heapq.nsmallest(max(1, len(victims) // BATCH), (entry for entry in ranked if entry[0] != NEVER))
        self._spared.extend((kind, victims[number]) for kind, _, number in found)
        self._search_at = 0.0 if found else monotonic() + LOOK_S

    def _rank(self, victim: Victim) -> tuple[int, float]:
        server = self._server
        now = max(server.now, server.loop.time())  # the sweep's is up to a second old
        if not isinstance(victim, PendingConnection):
            return victim.eviction_rank(now) if victim in server.connections else (NEVER, 0.0)
        since = self._listeners.adopting.get(victim)
        if since is None or now - since < NEW_S:
            return NEVER, 0.0  # it is done; or so new that it would make room for itself
        return SILENT, since
