"""The listening sockets of one server: joined, left, and one accept per wake-up.

Greedy accepting gives one worker of several nearly all of a burst. So there is one accept per wake-up, and before it a
rest while others have fewer connections (loads.py).

A joined server watches its queues unless there is a reason not to. Reasons are named and independent of each other:
each is held and released by its name, and as long as there is one no queue is watched at all, because a queue with
somebody in it would wake the loop as fast as the loop can turn.
"""

from __future__ import annotations

import asyncio
import errno
import socket
import time
from collections.abc import Callable, Coroutine
from typing import Final, Protocol

from server_core.loads import Loads

RETRY_MIN_S, RETRY_MAX_S = 0.1, 1.0
"""Pause after a failed accept, doubled each time. Chosen; no evidence: descriptors come back when requests end."""

_EXHAUSTED: Final = frozenset((errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM))

OTHERS_TURN: Final = "others' turn"
NO_DESCRIPTOR: Final = "no descriptor"
AT_LIMIT: Final = "limit-connections"
"""The reasons to leave the queues alone. But for the first, the server takes nobody however few it has."""

UNSENT_BYTES: Final = 131072
"""What the kernel takes of a response beyond what the client has room for (tcp(7), TCP_NOTSENT_LOWAT). Without it one
that reads 500 bytes at a time had 1.8 MiB of kernel memory filled for him, and a thousand stopped
the worker for seconds. Measured: Linux 6.18, tcp_wmem up to 4 MiB, python -m tests.bench.slow."""

Adopt = Callable[[socket.socket, object], Coroutine[object, object, None]]


class Crowd(Protocol):
    """Who watches over all that come; it may hold accepting, and releases it again."""

    def come(self, fd: int) -> None:
        """Somebody was accepted, and has this descriptor."""

    def fail(self, error: OSError, retry_s: float) -> None:
        """Nobody could be accepted; NO_DESCRIPTOR is held for so long."""

    def settle(self, task: asyncio.Task[None]) -> None:
        """A socket has become a connection, or is closed."""


class Listeners:
    """Accepts while joined and not held; `adopt` makes a connection of a socket, `crowd` hears of everybody.

    `loads` is where workers tell each other what they hold, `held` how many connections that is here.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        adopt: Adopt,
        crowd: Crowd,
        *,
        held: Callable[[], int],
        loads: Loads | None = None,
    ) -> None:
        self._loop = loop
        self._adopt = adopt
        self._crowd = crowd
        self._sockets: list[socket.socket] = []
        self._held = held
        self._loads = loads
        self._joined = False
        self._retry_s = RETRY_MIN_S
        self._reasons: dict[str, asyncio.TimerHandle | None] = {}
        """Why the queues are left alone, and what releases it, unless somebody does."""
        self._is_rested = False
        """Whether the next connection has been left to others for long enough."""
        self.adopting: dict[asyncio.Task[None], float] = {}
        """Sockets on their way to become connections, and since when; the oldest first."""

    def add(self, sock: socket.socket) -> None:
        """Own a listener from now on."""
        sock.setblocking(False)
        if sock.family != socket.AF_UNIX:
            # Accepted sockets inherit it, which saves a call for each. asyncio (3.11 to 3.13) sets it only on sockets
            # that know their protocol number, and an accepted one says 0.
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if hasattr(socket, "TCP_NOTSENT_LOWAT"):
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, UNSENT_BYTES)
        self._sockets.append(sock)
        if self._joined and not self._reasons:
            self._loop.add_reader(sock.fileno(), self.accept, sock)

    def join(self) -> None:
        if not self._joined:
            self._joined = True
            if not self._reasons:
                self._watch()
            self.beat()

    def leave(self) -> None:
        if self._joined and not self._reasons:
            self._unwatch()
        self._joined = False
        for reason, timer in list(self._reasons.items()):
            if timer is not None:
                timer.cancel()
                del self._reasons[reason]
        self.tell()

    def hold(self, reason: str, for_s: float | None = None) -> None:
        """Accept nobody until this reason is released, or so long has gone by. Idempotent."""
        if reason in self._reasons:
            return
        if self._joined and not self._reasons:
            self._unwatch()
        self._reasons[reason] = None if for_s is None else self._loop.call_later(for_s, self.release, reason)
        self.tell()

    def release(self, reason: str) -> None:
        """Accept again, unless there is another reason not to. Idempotent."""
        if reason not in self._reasons:
            return
        timer = self._reasons.pop(reason)
        if timer is not None:
            timer.cancel()
        if self._joined and not self._reasons:
            self._watch()
        self.tell()

    def beat(self) -> None:
        """Tell the other workers that this one's loop turns."""
        if self._loads is not None:
            self._loads.beat(time.monotonic())
            self.tell()

    def tell(self) -> None:
        """Tell the other workers how many connections there are here: after each change."""
        if self._loads is not None:
            if self._joined and self._reasons.keys() <= {OTHERS_TURN}:
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
                self.hold(OTHERS_TURN, pause_s)
                return
        self._is_rested = False
        self._take(listener)

    def _take(self, listener: socket.socket) -> bool:
        """Take one connection off the queue; False if there was none to take."""
        try:
            sock, peer = listener.accept()
        except OSError as error:
            if error.errno in _EXHAUSTED and self._joined:
                self.hold(NO_DESCRIPTOR, self._retry_s)
                self._crowd.fail(error, self._retry_s)
                self._retry_s = min(RETRY_MAX_S, self._retry_s * 2)
            # else: EAGAIN, another worker was faster; ECONNABORTED and the network's errors, that client has gone
            return error.errno == errno.ECONNABORTED
        self._retry_s = RETRY_MIN_S
        sock.setblocking(False)
        task = self._loop.create_task(self._adopt(sock, peer))
        self.adopting[task] = self._loop.time()
        task.add_done_callback(self._adopted)
        self.tell()
        self._crowd.come(sock.fileno())
        return True

    def _adopted(self, task: asyncio.Task[None]) -> None:
        del self.adopting[task]
        self.tell()
        self._crowd.settle(task)

    def _watch(self) -> None:
        for listener in self._sockets:
            self._loop.add_reader(listener.fileno(), self.accept, listener)

    def _unwatch(self) -> None:
        for listener in self._sockets:
            self._loop.remove_reader(listener.fileno())
