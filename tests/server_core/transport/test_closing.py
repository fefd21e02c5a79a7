"""How long a connection that was half-closed is read, in the drain that no other worker follows."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from types import SimpleNamespace

import pytest

from server_core.transport.closing import LINGER_LAST_S, LINGER_S, LingeringClose


class Rig:
    """A LingeringClose with a real socket; its loop only notes what is registered, and its clock is set by the test."""

    def __init__(self, ours: socket.socket, peer: socket.socket, *, is_last: bool) -> None:
        self.ours, self.peer = ours, peer
        self.now = 100.0
        self.timers: list[tuple[float, Callable[[], object]]] = []
        self.closed: list[float] = []
        loop = SimpleNamespace(call_later=self._note, time=lambda: self.now)
        transport = SimpleNamespace(
            supports_half_close=True,
            write_eof=lambda: ours.shutdown(socket.SHUT_WR),
            get_write_buffer_size=lambda: 0,
            fileno=ours.fileno,
            close=self._close,
        )
        server = SimpleNamespace(loop=loop, draining=True, is_last=is_last)
        self.ending = LingeringClose(transport, server)  # type: ignore[arg-type]  # all that it asks of them

    def _note(self, delay_s: float, callback: Callable[[], object]) -> SimpleNamespace:
        self.timers.append((delay_s, callback))
        return SimpleNamespace(cancel=lambda: None)

    def _close(self) -> None:
        self.closed.append(self.now)

    def elapse(self) -> float:
        """Let the one timer run out, and return how long it was."""
        ((delay_s, callback),) = self.timers
        self.timers.clear()
        self.now += delay_s
        callback()
        return delay_s


Rigged = Callable[..., Rig]


@pytest.fixture
def rigged() -> Iterator[Rigged]:
    made: list[socket.socket] = []

    def make(family: socket.AddressFamily, *, is_last: bool) -> Rig:
        if family == socket.AF_UNIX:
            pair = socket.socketpair()
        else:
            with socket.create_server(("127.0.0.1", 0)) as listener:
                peer = socket.create_connection(listener.getsockname())
                pair = (listener.accept()[0], peer)
        made.extend(pair)
        return Rig(*pair, is_last=is_last)

    yield make
    for sock in made:
        sock.close()


@pytest.mark.parametrize("family", [socket.AF_INET, socket.AF_UNIX], ids=["TCP", "Unix"])
@pytest.mark.parametrize(("is_last", "linger_s"), [(True, LINGER_LAST_S), (False, LINGER_S)])
def test_a_silent_client_that_knows_of_the_end_holds_a_stop_for_less(
    family: socket.AddressFamily, is_last: bool, linger_s: float, rigged: Rigged
) -> None:
    rig = rigged(family, is_last=is_last)
    rig.ending.shut(half_closed=False)
    assert rig.elapse() == linger_s
    if family == socket.AF_INET:  # the kernel's clock has not moved: what arrived last may have arrived just now
        while not rig.closed:
            rig.elapse()
        assert rig.now - 100.0 < LINGER_S + LINGER_LAST_S
    assert rig.closed == [rig.now]


def test_a_client_that_has_not_taken_the_response_yet_is_waited_for_as_ever(rigged: Rigged) -> None:
    rig = rigged(socket.AF_UNIX, is_last=True)
    rig.ours.send(b"a response")
    rig.ending.shut(half_closed=False)
    rig.elapse()
    assert not rig.closed
    while not rig.closed:
        rig.elapse()
    assert rig.now >= 100.0 + LINGER_S


def test_a_client_that_takes_the_response_late_is_let_go_then(rigged: Rigged) -> None:
    rig = rigged(socket.AF_UNIX, is_last=True)
    rig.ours.send(b"a response")
    rig.ending.shut(half_closed=False)
    rig.elapse()
    assert not rig.closed
    assert rig.peer.recv(100) == b"a response"
    rig.elapse()
    assert rig.closed
    assert rig.now < 100.0 + LINGER_S


def test_a_client_that_still_sends_is_waited_for_as_ever(rigged: Rigged) -> None:
    """A reset would overtake the response. The kernel's clock counts what came as recent; so it is asked again."""
    rig = rigged(socket.AF_INET, is_last=True)
    rig.ending.shut(half_closed=False)
    waited = 0
    while not rig.closed:
        rig.peer.send(b"more")
        rig.elapse()
        waited += 1
    assert waited > 1, "it was let go at the first look"
    assert rig.now >= 100.0 + LINGER_S
