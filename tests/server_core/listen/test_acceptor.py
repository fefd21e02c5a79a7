"""When a queue is looked at: reasons not to are independent, and nothing turns while one holds."""

# ruff: noqa: ARG002 - what listeners tell has more to it than these tests look at

from __future__ import annotations

import asyncio
import errno
import os
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from server_core.contract.scoreboard import LOAD, LOADS_BYTES, load_offset
from server_core.listen.acceptor import AT_LIMIT, NO_DESCRIPTOR, RETRY_MIN_S, Acceptor
from server_core.listen.fair_accept import AHEAD, FairAccept
from server_core.listen.pending_connection import PendingConnection
from server_core.runtime.server_loop import ServerLoop
from tests.helpers.http import run, turn, until

LOOPS = ("asyncio", "uvloop")


class Queue(socket.socket):
    """A listener that cannot be accepted from for a while."""

    failures: tuple[int, ...] = ()
    tries = 0

    def _accept(self) -> tuple[int, object]:
        self.tries += 1
        if self.failures:
            code, *rest = self.failures
            self.failures = tuple(rest)
            raise OSError(code, "exhausted")
        return super()._accept()  # type: ignore[misc,no-any-return]  # what an accept is made of


class Crowd:
    """Hears what the listeners tell."""

    def __init__(self) -> None:
        self.came: list[int] = []
        self.retries: list[float] = []
        self.abandoned: list[int] = []
        self.is_closed = False

    def come(self, fd: int) -> None:
        self.came.append(fd)

    def fail(self, error: OSError, retry_s: float) -> None:
        self.retries.append(retry_s)

    def settle(self, arrival: PendingConnection) -> None:
        """Nothing more is kept of it."""

    def close(self) -> None:
        self.is_closed = True

    def abandon(self, listener: socket.socket, waiting: int) -> None:
        self.abandoned.append(waiting)


class Rig:
    """Joined listeners over one queue; what they accept is closed."""

    def __init__(self, loads: FairAccept | None = None) -> None:
        self.queue = Queue()
        self.queue.bind(("127.0.0.1", 0))
        self.queue.listen()
        self.crowd = Crowd()
        loop = asyncio.get_running_loop()
        self.listeners = Acceptor(ServerLoop(loop), self._adopt, self.crowd, held=lambda: 0, loads=loads)
        self.listeners.add(self.queue)
        self.listeners.join()
        self.clients: list[socket.socket] = []

    async def _adopt(self, fd: int, peer: object, own: object) -> None:
        assert peer in [client.getsockname() for client in self.clients]
        assert own == self.queue.getsockname()
        os.close(fd)

    def connect(self) -> None:
        self.clients.append(socket.create_connection(self.queue.getsockname()))

    def close(self) -> None:
        self.listeners.close(take_waiting=False)
        for client in self.clients:
            client.close()


@asynccontextmanager
async def rigged(loads: FairAccept | None = None) -> AsyncIterator[Rig]:
    rig = Rig(loads)
    try:
        yield rig
        await until(lambda: not rig.listeners.adopting)
    finally:
        rig.close()


@pytest.mark.parametrize("loop", LOOPS)
def test_a_held_queue_is_not_looked_at_until_the_last_reason_is_released(loop: str) -> None:
    async def scenario() -> None:
        async with rigged() as rig:
            rig.listeners.hold("one")
            rig.listeners.hold("one")
            rig.listeners.hold("two")
            rig.connect()
            rig.listeners.release("one")
            rig.listeners.release("one")
            await turn()
            await turn()
            assert rig.queue.tries == 0
            rig.listeners.release("two")
            await until(lambda: rig.crowd.came)

    run(scenario(), loop=loop)


@pytest.mark.parametrize("loop", LOOPS)
def test_a_reason_outlasts_leaving_and_a_queue_that_comes_later_is_held_too(loop: str) -> None:
    async def scenario() -> None:
        async with rigged() as rig:
            rig.listeners.hold(AT_LIMIT)
            rig.listeners.leave()
            rig.listeners.join()
            rig.listeners.add(rig.queue)
            rig.connect()
            await turn()
            await turn()
            assert rig.queue.tries == 0
            rig.listeners.release(AT_LIMIT)
            await until(lambda: rig.crowd.came)

    run(scenario(), loop=loop)


@pytest.mark.parametrize("code", [errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM])
def test_a_failed_accept_is_tried_again_after_a_pause_that_doubles(code: int) -> None:
    async def scenario() -> None:
        async with rigged() as rig:
            loop = asyncio.get_running_loop()
            rig.queue.failures = (code,) * 3
            before = loop.time()
            rig.connect()
            await until(lambda: rig.crowd.came)
            assert rig.crowd.retries == [RETRY_MIN_S, 2 * RETRY_MIN_S, 4 * RETRY_MIN_S]
            assert loop.time() - before > 0.9 * 7 * RETRY_MIN_S, "nobody looks in the pauses"
            assert rig.queue.tries == 5, "the fourth finds somebody, the fifth that there is nobody else"
            rig.queue.failures = (code,)
            rig.connect()
            await until(lambda: len(rig.crowd.retries) == 4)
            assert rig.crowd.retries[3] == RETRY_MIN_S, "a success has begun it anew"

    run(scenario())


def test_the_pause_after_a_failure_is_never_longer_than_a_second() -> None:
    async def scenario() -> None:
        async with rigged() as rig:
            rig.queue.failures = (errno.EMFILE,) * 6
            for _ in range(6):
                rig.listeners.accept(rig.queue)
                rig.listeners.leave()
                rig.listeners.join()
            assert rig.crowd.retries == [0.1, 0.2, 0.4, 0.8, 1.0, 1.0]

    run(scenario())


@pytest.mark.parametrize("loop", LOOPS)
def test_a_failed_accept_is_tried_again_as_soon_as_a_descriptor_is_free(loop: str) -> None:
    async def scenario() -> None:
        async with rigged() as rig:
            rig.queue.failures = (errno.EMFILE,)
            rig.connect()
            await until(lambda: rig.crowd.retries)
            rig.listeners.release(NO_DESCRIPTOR)
            await until(lambda: rig.crowd.came)
            assert rig.queue.tries == 3, "the second finds somebody, the third that there is nobody else"

    run(scenario(), loop=loop)


def test_a_client_that_has_gone_again_is_passed_over() -> None:
    async def scenario() -> None:
        async with rigged() as rig:
            rig.queue.failures = (errno.ECONNABORTED,)
            rig.connect()
            await until(lambda: rig.crowd.came)
            assert rig.crowd.retries == []

    run(scenario())


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells handshakes under way")
@pytest.mark.parametrize("loop", LOOPS)
def test_the_last_emptying_takes_along_whose_handshake_is_under_way(loop: str) -> None:
    async def scenario() -> None:
        async with rigged() as rig:
            rig.queue.setsockopt(socket.IPPROTO_TCP, socket.TCP_DEFER_ACCEPT, 60)
            rig.connect()
            rig.listeners.close(take_waiting=True)
            assert rig.listeners.is_emptying
            assert not rig.crowd.came
            (client,) = rig.clients
            client.sendall(b"x")  # the end of the handshake, for the kernel
            await until(lambda: rig.crowd.is_closed)
            assert len(rig.crowd.came) == 1

    run(scenario(), loop=loop)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells handshakes under way")
def test_the_last_emptying_does_not_wait_for_a_handshake_for_ever() -> None:
    async def scenario() -> None:
        async with rigged() as rig:
            rig.queue.setsockopt(socket.IPPROTO_TCP, socket.TCP_DEFER_ACCEPT, 60)
            rig.connect()
            rig.listeners.close(take_waiting=True)
            await until(lambda: rig.crowd.is_closed)
            assert not rig.crowd.came

    run(scenario())


def test_the_last_emptying_is_over_at_once_where_nobody_is_expected() -> None:
    async def scenario() -> None:
        async with rigged() as rig:
            rig.connect()
            rig.listeners.close(take_waiting=True)
            assert rig.crowd.is_closed
            assert len(rig.crowd.came) == 1

    run(scenario())


@pytest.mark.parametrize("code", [errno.ECONNABORTED, errno.EHOSTUNREACH, errno.EPROTO])
def test_the_last_emptying_goes_on_after_somebody_who_has_gone(code: int) -> None:
    async def scenario() -> None:
        async with rigged() as rig:
            rig.queue.failures = (code, code)
            rig.connect()
            rig.listeners.close(take_waiting=True)
            assert len(rig.crowd.came) == 1

    run(scenario())


@pytest.mark.parametrize("loop", LOOPS)
def test_the_last_emptying_goes_on_when_there_are_descriptors_again(loop: str) -> None:
    async def scenario() -> None:
        async with rigged() as rig:
            rig.queue.failures = (errno.EMFILE,) * 3
            rig.connect()
            rig.listeners.close(take_waiting=True)
            await until(lambda: rig.crowd.is_closed)
            assert len(rig.crowd.came) == 1
            assert len(rig.crowd.retries) == 3, "room is asked for each time"
            assert not rig.crowd.abandoned

    run(scenario(), loop=loop)


def test_who_is_left_behind_in_the_end_is_counted() -> None:
    async def scenario() -> None:
        async with rigged() as rig:
            rig.queue.failures = (errno.EMFILE,) * 10_000
            rig.connect()
            rig.connect()
            rig.listeners.close(take_waiting=True)
            rig.listeners.abandon()
            rig.listeners.abandon()
            assert rig.crowd.abandoned == [2 if sys.platform == "linux" else 1]
            assert rig.crowd.is_closed

    run(scenario())


@pytest.mark.parametrize(("waiting", "taken"), [(4, AHEAD), (24, AHEAD), (40, 5), (120, 15)])
@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere the kernel does not say how long a queue is")
def test_a_worker_that_is_not_alone_takes_the_more_at_once_the_longer_the_queue_is(waiting: int, taken: int) -> None:
    async def scenario() -> None:
        fd = os.memfd_create("loads")
        os.ftruncate(fd, LOADS_BYTES)
        os.pwrite(fd, LOAD.pack(2, 0.0), load_offset(0))
        other, own = FairAccept.shared(fd, 2, 3600.0), FairAccept.shared(fd, 1, 3600.0)
        os.close(fd)
        async with rigged(own) as rig:
            other.beat(asyncio.get_running_loop().time())
            other.store(0)
            for _ in range(waiting):
                rig.connect()
            rig.listeners.accept(rig.queue)
            assert len(rig.crowd.came) == taken
        own.close()
        other.close()

    run(scenario())
