"""The listening sockets of one server: joined, left, and as many accepts per wake-up as are fair.

Greedy accepting gives one worker of several nearly all of a burst. So a wake-up takes a few, more where others have
more or there are none, and rests before it while others have fewer (fair_accept.py).

A joined server watches its queues unless there is a reason not to. Reasons are named and independent of each other:
each is held and released by its name, and as long as there is one no queue is watched at all, because a queue with
somebody in it would wake the loop as fast as the loop can turn.

What one look into a queue comes to is in accept_outcome.py, the last emptying of the queues in last_emptying.py.
"""

from __future__ import annotations

import asyncio
import os
import socket
import time
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Final

from server_core.listen import accept_queue
from server_core.listen.accept_outcome import Taken, outcome_of
from server_core.listen.fair_accept import FairAccept, pause_s, share
from server_core.listen.last_emptying import LOOK_S, LastEmptying
from server_core.listen.listener_setup import prepare
from server_core.listen.observer import Crowd
from server_core.listen.pending_connection import PendingConnection
from server_core.runtime import standard_streams
from server_core.runtime.server_loop import ServerLoop
from server_core.transport.socket_info import IPV6_PARTS, address_of_all, unmapped

RETRY_MIN_S, RETRY_MAX_S = 0.1, 1.0
"""Pause after a failed accept, doubled each time. Chosen; no evidence: descriptors come back when requests end."""

OTHERS_TURN: Final = "others' turn"
NO_DESCRIPTOR: Final = "no descriptor"
AT_LIMIT: Final = "limit-connections"
"""The reasons to leave the queues alone. But for the first, the server takes nobody however few it has."""

Adopt = Callable[[int, object, object], "Coroutine[object, object, object] | None"]
"""Makes a connection of an accepted descriptor, which does not block and is owned from now on. With it come the peer's
address and the one it connected to, which is None where only the socket knows it. What lasts is a coroutine."""


class Acceptor:
    """Accepts while joined and not held; `adopt` makes a connection of each, `crowd` hears of everybody.

    `loads` is where workers tell each other what they hold, `held` how many connections that is here.
    """

    __slots__ = (
        *("_adopt", "_crowd", "_emptying", "_held", "_is_rested", "_joined", "_loads", "_loop", "_reasons", "_retry_s"),
        *("_sockets", "adopting"),
    )

    def __init__(
        self, loop: ServerLoop, adopt: Adopt, crowd: Crowd, *, held: Callable[[], int], loads: FairAccept | None = None
    ) -> None:
        self._loop = loop
        self._adopt = adopt
        self._crowd = crowd
        self._sockets: dict[socket.socket, object] = {}
        """The listeners, and the address that their clients connect to, where it is the same for all."""
        self._held = held
        self._loads = loads
        self._joined = False
        self._emptying: LastEmptying | None = None
        self._retry_s = RETRY_MIN_S
        self._reasons: dict[str, asyncio.TimerHandle | None] = {}
        """Why the queues are left alone, and what releases it, unless somebody does."""
        self._is_rested = False
        """Whether the next connection has been left to others for long enough."""
        self.adopting: dict[PendingConnection, float] = {}
        """Who is on the way to become a connection, and since when; the oldest first."""

    def add(self, sock: socket.socket) -> None:
        """Own a listener from now on."""
        prepare(sock)
        self._sockets[sock] = address_of_all(sock)
        if self._joined and not self._reasons:
            self._loop.add_reader(sock.fileno(), self.accept, sock)

    def give_up(self, sock: socket.socket) -> None:
        """Close one of several for good, whoever waits there; the others go on."""
        self._loop.remove_reader(sock.fileno())
        del self._sockets[sock]
        sock.close()

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
            if self._joined and (not self._reasons or self._reasons.keys() <= {OTHERS_TURN}):
                self._loads.store(self._held() + len(self.adopting))
            else:
                self._loads.withdraw()

    @property
    def is_emptying(self) -> bool:
        """Whether the last emptying is not over."""
        return self._emptying is not None and bool(self._sockets)

    def close(self, *, take_waiting: bool) -> None:
        """Leave for good; `take_waiting` takes along the clients in a queue or about to be, which can last a moment."""
        self.leave()
        if take_waiting:
            self._emptying = LastEmptying(self._loop, self._take, self._shut)
            self._emptying.look(self._sockets)
        else:
            self._shut(list(self._sockets))

    def abandon(self) -> None:
        """End an emptying that is not over, and tell which clients are left behind."""
        if self.is_emptying:
            for listener in self._sockets:
                if waiting := accept_queue.waiting(listener):
                    self._crowd.abandon(listener, waiting)
            self._shut(list(self._sockets))

    def _shut(self, listeners: list[socket.socket]) -> None:
        for listener in listeners:
            listener.close()
            del self._sockets[listener]
        if not self._sockets:
            if self._emptying is not None:
                self._emptying.cancel()
            self._crowd.close()

    def accept(self, listener: socket.socket) -> None:
        """Take connections off a queue that is not empty, unless others should have the next one first."""
        lead = self._loads.lead(partial(accept_queue.waiting, listener)) if self._loads is not None else None
        wait_s = 0.0 if self._is_rested else pause_s(lead)
        self._is_rested = wait_s > 0
        if wait_s:
            self.hold(OTHERS_TURN, wait_s)
            return
        for _ in range(share(lead)):
            if self._take(listener) is not Taken.ONE or self._reasons:
                return

    def _take(self, listener: socket.socket) -> Taken:
        """Take one connection off the queue."""
        try:
            # As listener.accept(), without the socket object: nobody needs one, and it costs a system call and 3 us.
            fd, peer = listener._accept()  # type: ignore[attr-defined]  # in CPython since 3.0, and in PyPy
            if fd <= standard_streams.LAST:
                fd = standard_streams.moved(fd)
        except OSError as error:
            outcome = outcome_of(error)
            if outcome is Taken.NO_DESCRIPTOR:
                self._fail(error)
            elif outcome is Taken.SHUT_DOWN:
                self._rest(listener)
            return outcome
        self._retry_s = RETRY_MIN_S
        os.set_blocking(fd, False)
        if len(peer) == IPV6_PARTS:
            peer = unmapped(peer)
        coroutine = self._adopt(fd, peer, self._sockets.get(listener))
        if coroutine is not None:
            arrival = PendingConnection(self._loop, coroutine, self._adopted)
            self.adopting[arrival] = self._loop.time()
            arrival.go()
        self.tell()
        self._crowd.come(fd)
        return Taken.ONE

    def _rest(self, listener: socket.socket) -> None:
        """Leave a listener alone for a moment that would wake this worker all the time."""
        if self._joined:
            self._loop.remove_reader(listener.fileno())
            self._loop.call_later(LOOK_S, self._look_again, listener)

    def _look_again(self, listener: socket.socket) -> None:
        if self._joined and not self._reasons and listener in self._sockets:
            self._loop.add_reader(listener.fileno(), self.accept, listener)

    def _fail(self, error: OSError) -> None:
        """Nobody could be accepted: whoever watches over the crowd makes room."""
        retry_s = LOOK_S if self._emptying is not None else self._retry_s
        if self._joined:
            self.hold(NO_DESCRIPTOR, retry_s)
            self._retry_s = min(RETRY_MAX_S, self._retry_s * 2)
        self._crowd.fail(error, retry_s)

    def _adopted(self, arrival: PendingConnection) -> None:
        del self.adopting[arrival]
        self.tell()
        self._crowd.settle(arrival)

    def _watch(self) -> None:
        for listener in self._sockets:
            self._loop.add_reader(listener.fileno(), self.accept, listener)

    def _unwatch(self) -> None:
        for listener in self._sockets:
            self._loop.remove_reader(listener.fileno())
