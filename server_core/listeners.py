"""The listening sockets of one server: joined, left, and one accept per wake-up.

Greedy accepting gives one worker of several nearly all of a burst. So there is one accept per wake-up, and before it a
rest while others have fewer connections (loads.py). A rest is also what follows a failed accept: nobody looks at the
queues until it is over.
"""

from __future__ import annotations

import asyncio
import errno
import socket
import time
from collections.abc import Callable, Coroutine
from typing import Final

from server_core.loads import Loads
from server_core.log import Log

RETRY_MIN_S, RETRY_MAX_S = 0.1, 1.0
"""Pause after a failed accept, doubled each time. Chosen; no evidence: descriptors come back when requests end."""

_EXHAUSTED: Final = frozenset((errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM))

Adopt = Callable[[socket.socket, object], Coroutine[object, object, None]]


class Listeners:
    """Accepts while joined; `adopt` makes a connection of a socket, `settled` hears when that is over.

    `loads` is where workers tell each other what they hold, `held` how many connections that is here.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        log: Log,
        adopt: Adopt,
        settled: Callable[[], None],
        *,
        held: Callable[[], int],
        loads: Loads | None = None,
    ) -> None:
        self._loop = loop
        self._log = log
        self._adopt = adopt
        self._settled = settled
        self._sockets: list[socket.socket] = []
        self._held = held
        self._loads = loads
        self._joined = False
        self._retry_s = RETRY_MIN_S
        self._rest: asyncio.TimerHandle | None = None
        self._is_rested = False
        """Whether the next connection has been left to others for long enough."""
        self.adopting: set[asyncio.Task[None]] = set()
        """Sockets on their way to become connections."""

    def add(self, sock: socket.socket) -> None:
        """Own a listener from now on."""
        sock.setblocking(False)
        if sock.family != socket.AF_UNIX:
            # Accepted sockets inherit it, which saves a call for each. asyncio (3.11 to 3.13) sets it only on sockets
            # that know their protocol number, and an accepted one says 0.
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._sockets.append(sock)
        if self._joined and self._rest is None:
            self._loop.add_reader(sock.fileno(), self.accept, sock)

    def join(self) -> None:
        if not self._joined:
            self._joined = True
            self._watch()
            self.beat()

    def leave(self) -> None:
        if self._rest is not None:
            self._rest.cancel()
            self._rest = None
        elif self._joined:
            self._unwatch()
        self._joined = False
        self.tell()

    def beat(self) -> None:
        """Tell the other workers that this one's loop turns."""
        if self._loads is not None:
            self._loads.beat(time.monotonic())
            self.tell()

    def tell(self) -> None:
        """Tell the other workers how many connections there are here: after each change."""
        if self._loads is not None:
            if self._joined:
                self._loads.store(self._held() + len(self.adopting))
            else:
                self._loads.withdraw()

    def close(self, *, take_waiting: bool) -> None:
        """Leave for good; `take_waiting` takes along whoever is in a queue."""
        self.leave()
        for listener in self._sockets:
            while take_waiting and self._take(listener):
                pass
            listener.close()
        self._sockets.clear()

    def accept(self, listener: socket.socket) -> None:
        """Take one connection off a queue that is not empty, unless others should have it first."""
        if self._loads is not None and not self._is_rested:
            pause_s = self._loads.pause_s()
            if pause_s:
                self._is_rested = True
                self._rest_for(pause_s)
                return
        self._is_rested = False
        self._take(listener)

    def _take(self, listener: socket.socket) -> bool:
        """Take one connection off the queue; False if there was none to take."""
        try:
            sock, peer = listener.accept()
        except OSError as error:
            if error.errno in _EXHAUSTED and self._joined:
                self._retry_later(error)
            # else: EAGAIN, another worker was faster; ECONNABORTED and the network's errors, that client has gone
            return error.errno == errno.ECONNABORTED
        self._retry_s = RETRY_MIN_S
        sock.setblocking(False)
        task = self._loop.create_task(self._adopt(sock, peer))
        self.adopting.add(task)
        task.add_done_callback(self._adopted)
        self.tell()
        return True

    def _adopted(self, task: asyncio.Task[None]) -> None:
        self.adopting.discard(task)
        self.tell()
        self._settled()

    def _watch(self) -> None:
        for listener in self._sockets:
            self._loop.add_reader(listener.fileno(), self.accept, listener)

    def _unwatch(self) -> None:
        for listener in self._sockets:
            self._loop.remove_reader(listener.fileno())

    def _retry_later(self, error: OSError) -> None:
        """Look at no queue for a while: each look would fail the same way, as fast as the loop can turn."""
        if self._rest is None:
            self._log("accept.failed", error=str(error), retry_s=self._retry_s)
            self._rest_for(self._retry_s)
            self._retry_s = min(RETRY_MAX_S, self._retry_s * 2)

    def _rest_for(self, pause_s: float) -> None:
        self._unwatch()
        self._rest = self._loop.call_later(pause_s, self._resume)

    def _resume(self) -> None:
        self._rest = None
        self._watch()
