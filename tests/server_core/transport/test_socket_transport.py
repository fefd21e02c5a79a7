"""A socket as a transport: what it tells and when, what the kernel does not take, and how it ends."""

from __future__ import annotations

import asyncio
import errno
import os
import select
import socket
import struct
import sys
import threading
from collections.abc import Callable, Coroutine
from pathlib import Path

import pytest

from server_core.runtime.server_loop import ServerLoop
from server_core.transport.poller import EpollPoller, LoopPoller, Watched
from server_core.transport.socket_transport import SocketTransport
from server_core.transport.syscalls import READ_BYTES
from server_core.transport.write_buffer import HIGH_BYTES
from tests.helpers.http import run, turn, until


class Protocol:
    """Keeps what it is told; `keeps` is what it says to the peer's end."""

    def __init__(self) -> None:
        self.told: list[str] = []
        self.heard = bytearray()
        self.keeps = False
        self.error: Exception | None = None
        self.on_data: Callable[[], object] = bool

    def connection_made(self, transport: SocketTransport) -> None:  # noqa: ARG002 - told, and not needed
        self.told.append("made")

    def data_received(self, data: bytes) -> None:
        assert data
        self.heard += data
        self.on_data()

    def eof_received(self) -> bool:
        self.told.append("end")
        return self.keeps

    def pause_writing(self) -> None:
        self.told.append("full")

    def resume_writing(self) -> None:
        self.told.append("room")

    def connection_lost(self, error: Exception | None) -> None:
        self.told.append("lost")
        self.error = error


class CountingPoller:
    """A poller that counts how often it tells."""

    told = 0
    events = 0
    refusal: OSError | None = None
    was_asked = False
    has_let_go = False

    def let_go(self, stream: SocketTransport) -> None:
        """Watch this stream no more, whatever it asks for."""
        self.watch(stream.fileno(), stream, self.events, 0)
        self.has_let_go = True

    def watch(self, fd: int, who: Watched, before: int, events: int) -> None:
        if self.has_let_go:
            return
        if self.refusal is not None:
            raise self.refusal
        self.was_asked, self.events = True, events
        super().watch(fd, who, before, events)  # type: ignore[misc]  # the poller's beside this


class CountingEpoll(CountingPoller, EpollPoller):
    def _turn(self) -> None:
        self.told += 1
        super()._turn()


class CountingLoop(CountingPoller, LoopPoller):
    def watch(self, fd: int, who: Watched, before: int, events: int) -> None:
        super().watch(fd, Counted(self, who), before, events)


class Counted:
    """Who is told by a CountingLoop."""

    def __init__(self, poller: CountingLoop, who: Watched) -> None:
        self._poller = poller
        self._who = who

    def ready(self, events: int) -> None:
        self._poller.told += 1
        self._who.ready(events)


POLLERS: list[Callable[[asyncio.AbstractEventLoop], CountingLoop | CountingEpoll]] = [CountingLoop]
if hasattr(select, "epoll"):
    POLLERS.append(CountingEpoll)


class Rig:
    """One stream that is not open yet, and the socket at its other end."""

    def __init__(self, new: Callable[[asyncio.AbstractEventLoop], CountingLoop | CountingEpoll]) -> None:
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.client = socket.create_connection(self.listener.getsockname())
        ours, _ = self.listener.accept()
        ours.setblocking(False)
        self.client.setblocking(False)
        loop = asyncio.get_running_loop()
        self.failures: list[object] = []
        loop.set_exception_handler(lambda _, told: self.failures.append(told["exception"]))
        running = ServerLoop(loop)
        self.poller = new(running)
        self.protocol = Protocol()
        self.stream = SocketTransport(running, self.poller, ours.detach(), self.protocol)

    def reset(self) -> None:
        self.client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.client.close()

    async def receive(self, size: int) -> bytes:
        loop, heard = asyncio.get_running_loop(), bytearray()
        while len(heard) < size and (part := await loop.sock_recv(self.client, 1 << 20)):
            heard += part
        return bytes(heard)

    async def settle(self) -> int:
        """How often the poller tells anything while a few turns go by in which nothing new happens."""
        await turn()
        before = self.poller.told
        for _ in range(5):
            await turn()
        return self.poller.told - before

    def close(self) -> None:
        self.stream.abort()
        self.poller.close()
        self.client.close()
        self.listener.close()


Scenario = Callable[[Rig], Coroutine[object, object, None]]


@pytest.fixture(params=[(loop, new) for loop in ("asyncio", "uvloop") for new in POLLERS], ids=str)
def play(request: pytest.FixtureRequest) -> Callable[[Scenario], None]:
    loop, new = request.param

    def played(scenario: Scenario) -> None:
        async def main() -> None:
            rig = Rig(new)
            try:
                await scenario(rig)
            finally:
                rig.close()

        run(main(), loop=loop)

    return played


def test_what_has_come_already_is_told_at_once_and_what_comes_later_later(play: Callable[[Scenario], None]) -> None:
    async def scenario(rig: Rig) -> None:
        rig.client.send(b"early")
        rig.stream.open()
        assert (rig.protocol.told, rig.protocol.heard) == (["made"], b"early")
        assert not rig.poller.was_asked, "not watched before it has had the chance to end"
        await turn()
        assert rig.poller.events
        rig.client.send(b" late")
        await until(lambda: rig.protocol.heard == b"early late")

    play(scenario)


def test_who_ends_with_the_first_answer_is_never_watched(play: Callable[[Scenario], None]) -> None:
    async def scenario(rig: Rig) -> None:
        def answer() -> None:
            rig.stream.write(b"answer")
            rig.stream.close()

        rig.protocol.on_data = answer
        rig.client.send(b"question")
        rig.stream.open()
        assert rig.stream.fileno() == -1
        assert rig.protocol.told == ["made"], "its end is told later"
        assert await rig.receive(100) == b"answer"
        await until(lambda: rig.protocol.told == ["made", "lost"])
        assert not rig.poller.was_asked
        assert rig.protocol.error is None

    play(scenario)


def test_who_says_nothing_is_watched_at_once(play: Callable[[Scenario], None]) -> None:
    async def scenario(rig: Rig) -> None:
        rig.stream.open()
        assert rig.poller.events
        rig.client.send(b"x" * 3 * READ_BYTES)
        await until(lambda: len(rig.protocol.heard) == 3 * READ_BYTES)

    play(scenario)


def test_what_the_kernel_does_not_take_is_kept_and_goes_out_in_order(play: Callable[[Scenario], None]) -> None:
    async def scenario(rig: Rig) -> None:
        rig.stream.open()
        parts = [bytes([number]) * 300_000 for number in range(60)]
        for number, part in enumerate(parts):
            if number % 2:
                rig.stream.write(part)
            else:
                rig.stream.writelines((part[:10], part[10:]))
        for number in range(200):
            rig.stream.write(b"%03d" % number)
        rig.stream.write(b"")
        assert rig.stream.get_write_buffer_size() > HIGH_BYTES
        assert rig.protocol.told == ["made", "full"]
        rig.stream.close()
        rig.stream.write(b"too late")
        expected = b"".join(parts) + b"".join(b"%03d" % number for number in range(200))
        assert await rig.receive(len(expected) + 1) == expected
        await until(lambda: "lost" in rig.protocol.told)
        assert rig.stream.get_write_buffer_size() == 0

    play(scenario)


def test_a_full_one_says_when_there_is_room_and_is_left_alone_then(play: Callable[[Scenario], None]) -> None:
    async def scenario(rig: Rig) -> None:
        rig.stream.open()
        data = os.urandom(20_000_000)
        rig.stream.write(data)
        assert rig.protocol.told == ["made", "full"]
        assert await rig.receive(len(data)) == data
        await until(lambda: rig.protocol.told == ["made", "full", "room"])
        assert await rig.settle() == 0

    play(scenario)


def test_a_paused_one_is_not_read_and_does_not_spin(play: Callable[[Scenario], None]) -> None:
    async def scenario(rig: Rig) -> None:
        rig.stream.open()
        rig.stream.pause_reading()
        assert not rig.stream.is_reading()
        rig.client.send(b"waits")
        assert await rig.settle() == 0
        assert not rig.protocol.heard
        rig.stream.resume_reading()
        rig.stream.resume_reading()
        await until(lambda: rig.protocol.heard == b"waits")

    play(scenario)


def test_an_end_can_be_answered(play: Callable[[Scenario], None]) -> None:
    async def scenario(rig: Rig) -> None:
        rig.protocol.keeps = True
        rig.stream.open()
        rig.client.shutdown(socket.SHUT_WR)
        await until(lambda: "end" in rig.protocol.told)
        assert await rig.settle() == 0
        rig.stream.resume_reading()
        assert await rig.settle() == 0, "there is nothing more to read"
        rig.stream.write(b"answer")
        rig.stream.write_eof()
        assert await rig.receive(100) == b"answer"
        rig.stream.close()
        await until(lambda: rig.protocol.told == ["made", "end", "lost"])

    play(scenario)


def test_an_end_that_is_not_kept_ends_both_ways(play: Callable[[Scenario], None]) -> None:
    async def scenario(rig: Rig) -> None:
        rig.client.send(b"all")
        rig.client.shutdown(socket.SHUT_WR)
        rig.stream.open()
        await until(lambda: rig.protocol.told == ["made", "end", "lost"])
        assert rig.protocol.heard == b"all"
        assert rig.protocol.error is None
        assert await rig.receive(1) == b""

    play(scenario)


def test_our_half_ends_behind_what_is_kept(play: Callable[[Scenario], None]) -> None:
    async def scenario(rig: Rig) -> None:
        rig.stream.open()
        data = os.urandom(20_000_000)
        rig.stream.write(data)
        rig.stream.write_eof()
        rig.stream.write_eof()
        assert await rig.receive(len(data) + 1) == data
        rig.client.send(b"still here")
        await until(lambda: rig.protocol.heard == b"still here")

    play(scenario)


@pytest.mark.skipif(sys.platform != "linux", reason="the loop's own watching loses it (poller.py)")
@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
def test_a_reset_that_comes_with_bytes_is_heard_of(loop: str) -> None:
    async def main() -> None:
        rig = Rig(CountingEpoll)
        try:
            rig.stream.open()
            rig.client.send(b"last words")
            rig.reset()
            await until(lambda: "lost" in rig.protocol.told)
            assert isinstance(rig.protocol.error, ConnectionResetError)
        finally:
            rig.close()

    run(main(), loop=loop)


def test_a_reset_while_nobody_reads_does_not_spin_and_is_told_when_somebody_does(
    play: Callable[[Scenario], None],
) -> None:
    async def scenario(rig: Rig) -> None:
        rig.stream.open()
        rig.stream.pause_reading()
        rig.reset()
        assert await rig.settle() == 0
        assert rig.protocol.told == ["made"]
        rig.stream.resume_reading()
        await until(lambda: "lost" in rig.protocol.told)
        assert isinstance(rig.protocol.error, ConnectionResetError)

    play(scenario)


@pytest.mark.parametrize("reading", [True, False])
def test_a_reset_while_something_is_kept_is_told_once(play: Callable[[Scenario], None], reading: bool) -> None:
    async def scenario(rig: Rig) -> None:
        rig.stream.open()
        if not reading:
            rig.stream.pause_reading()
        rig.stream.write(bytes(20_000_000))
        rig.reset()
        await until(lambda: "lost" in rig.protocol.told)
        assert isinstance(rig.protocol.error, OSError)
        assert rig.stream.is_closing()
        assert await rig.settle() == 0
        assert rig.protocol.told == ["made", "full", "lost"]
        assert not rig.failures

    play(scenario)


@pytest.mark.parametrize("way", ["write", "writelines", "write_eof"])
def test_writing_to_one_that_is_gone_is_an_end_told_later(play: Callable[[Scenario], None], way: str) -> None:
    async def scenario(rig: Rig) -> None:
        def say() -> None:
            rig.reset()
            if way == "write":
                rig.stream.write(b"x")
            elif way == "writelines":
                rig.stream.writelines((b"x", b"y"))
            else:
                rig.stream.write_eof()
            assert "lost" not in rig.protocol.told

        rig.protocol.on_data = say
        rig.stream.open()
        rig.client.send(b"x")
        await until(lambda: "lost" in rig.protocol.told)
        assert not rig.failures

    play(scenario)


@pytest.mark.parametrize("when", ["made", "data"])
def test_a_protocol_that_raises_costs_its_connection_and_is_reported(
    play: Callable[[Scenario], None], when: str
) -> None:
    async def scenario(rig: Rig) -> None:
        def fail(*_: object) -> None:
            raise RuntimeError("no good")

        if when == "made":
            rig.protocol.connection_made = fail  # type: ignore[method-assign]
        else:
            rig.protocol.on_data = fail
            rig.client.send(b"x")
        rig.stream.open()
        await until(lambda: rig.protocol.told[-1:] == ["lost"])
        assert [str(error) for error in rig.failures] == ["no good"]
        assert await rig.receive(1) == b""

    play(scenario)


def test_a_descriptor_that_cannot_be_watched_is_an_end(play: Callable[[Scenario], None]) -> None:
    async def scenario(rig: Rig) -> None:
        rig.poller.refusal = OSError(errno.ENOSPC, "max_user_watches")
        rig.stream.open()
        await until(lambda: "lost" in rig.protocol.told)
        assert rig.protocol.error is rig.poller.refusal

    play(scenario)


def test_a_copy_of_the_descriptor_keeps_nothing_alive(play: Callable[[Scenario], None]) -> None:
    """Such as in a process that the application has forked: epoll(7), Questions and answers, 6."""

    async def scenario(rig: Rig) -> None:
        rig.stream.open()
        copy = os.dup(rig.stream.fileno())
        try:
            rig.stream.close()
            rig.client.send(b"to nobody")
            await until(lambda: "lost" in rig.protocol.told)
            assert await rig.settle() == 0
        finally:
            os.close(copy)

    play(scenario)


def test_one_that_outlasts_its_poller_ends_all_the_same(play: Callable[[Scenario], None]) -> None:
    async def scenario(rig: Rig) -> None:
        rig.stream.open()
        rig.poller.close()
        rig.stream.close()
        await until(lambda: rig.protocol.told == ["made", "lost"])
        assert await rig.receive(1) == b""
        assert not rig.failures

    play(scenario)


def test_a_file_goes_behind_what_is_kept_and_as_far_as_the_kernel_takes_it(
    play: Callable[[Scenario], None], tmp_path: Path
) -> None:
    content = os.urandom(20_000_000)
    (tmp_path / "file").write_bytes(content)

    async def scenario(rig: Rig) -> None:
        rig.stream.open()
        with open(tmp_path / "file", "rb") as file:
            before = bytes(20_000_000)
            assert rig.stream.get_write_progress() is None
            rig.stream.write(before)
            assert rig.stream.get_write_progress() == 0
            kept_bytes = rig.stream.get_write_buffer_size()
            with pytest.raises(BlockingIOError):
                rig.stream.sendfile(file.fileno(), 0, len(content))
            receiving = asyncio.create_task(rig.receive(len(before) + len(content)))
            sent = 0
            while sent < len(content):
                rooms = rig.protocol.told.count("room")
                try:
                    sent += rig.stream.sendfile(file.fileno(), sent, len(content) - sent)
                except BlockingIOError:
                    pass
                if sent < len(content):
                    assert rig.protocol.told[-1] == "full"
                    await until(lambda rooms=rooms: rig.protocol.told.count("room") > rooms)  # type: ignore[misc]
            assert rig.stream.get_write_progress() in (None, kept_bytes + len(content))
            assert rig.stream.sendfile(file.fileno(), sent, 1) == 0, "the end of the file"
            assert await receiving == before + content

    play(scenario)


def test_a_protocol_that_takes_a_full_transport_over_hears_so(play: Callable[[Scenario], None]) -> None:
    async def scenario(rig: Rig) -> None:
        rig.stream.open()
        first, second = type(rig.protocol)(), type(rig.protocol)()
        rig.stream.set_protocol(first)
        assert first.told == []
        rig.stream.write(bytes(20_000_000))
        assert first.told == ["full"]
        rig.stream.set_protocol(second)
        assert second.told == ["full"]

    play(scenario)


def test_it_knows_its_address_until_it_is_closed(play: Callable[[Scenario], None]) -> None:
    async def scenario(rig: Rig) -> None:
        rig.stream.open()
        assert rig.stream.get_extra_info("sockname") == rig.listener.getsockname()
        assert rig.stream.get_extra_info("ssl_object") is None
        assert rig.stream.get_extra_info("cipher", 1) == 1
        rig.stream.abort()
        assert rig.stream.get_extra_info("sockname") is None

    play(scenario)


class Bystander:
    """A thread that takes the interpreter whenever somebody gives it up, and takes it from nobody."""

    def __init__(self) -> None:
        self.turns = 0
        self._is_over = False
        self._interval = sys.getswitchinterval()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Bystander:
        sys.setswitchinterval(60)  # before it starts: who waits already asks again after the old interval
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        sys.setswitchinterval(self._interval)
        self._is_over = True
        self._thread.join()

    def _run(self) -> None:
        while not self._is_over:
            self.turns += 1
            os.stat(os.curdir)  # gives it up

    def turns_during(self, call: Callable[[], object]) -> int:
        before = self.turns
        call()
        return self.turns - before


def test_it_keeps_the_interpreter_while_it_writes_and_ends(play: Callable[[Scenario], None]) -> None:
    """A thread that computes would have it for 5 ms each time."""

    async def scenario(rig: Rig) -> None:
        rig.stream.open()
        data = bytes(READ_BYTES)
        with Bystander() as bystander:
            for _ in range(100):
                assert bystander.turns_during(lambda: rig.stream.write(data)) == 0
                await rig.receive(len(data))
                assert bystander.turns_during(lambda: rig.stream.writelines((data, data))) == 0
                await rig.receive(2 * len(data))
            assert bystander.turns > 0
            rig.poller.let_go(rig.stream)  # epoll_ctl(2) is Python's own call, which gives the interpreter up
            assert bystander.turns_during(rig.stream.close) == 0

    play(scenario)


class Unheard:
    def ready(self, events: int) -> None:
        raise AssertionError(events)


@pytest.mark.skipif(not hasattr(select, "epoll"), reason="epoll is Linux's")
def test_a_poller_tells_once_of_each_descriptor_that_it_has_come_to_watch() -> None:
    async def play() -> None:
        poller = EpollPoller(ServerLoop(asyncio.get_running_loop()))
        ends = [socket.socketpair() for _ in range(3)]
        fds = [end.fileno() for end, _ in ends]
        told = poller.newly_watched
        poller.watch(fds[0], Unheard(), 0, select.POLLIN)
        assert told() == [fds[0]]
        poller.watch(fds[1], Unheard(), 0, select.POLLIN)
        poller.watch(fds[2], Unheard(), 0, select.POLLIN)
        poller.watch(fds[2], Unheard(), select.POLLIN, 0)
        assert told() == [fds[1]]
        assert told() == []
        poller.close()
        for pair in ends:
            for end in pair:
                end.close()

    run(play())
