"""What another process changes on a listener that is shared is set right with the beats of the others."""

from __future__ import annotations

import array
import fcntl
import os
import socket
import struct
import sys
from collections.abc import Iterator
from contextlib import closing

import pytest

from server_core.contract import listener_options
from server_core.contract.listener_options import capture
from server_core.contract.spec import ListenerSpec
from server_core.listen.listener_guard import LOOK_BEATS, ListenerGuard
from supervisor_d.host.sockets.accept_barrier import turn_away
from tests.helpers.logs import Remembered

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the options are Linux's")

LINGER = struct.pack("ii", 1, 0)
ONE = struct.pack("i", 1)
MANY = struct.pack("i", 1 << 20)


class Shared:
    """A listener as the master has it, and the guard of a worker."""

    def __init__(self, family: int) -> None:
        self.master = socket.socket(family, socket.SOCK_STREAM)
        self.master.bind("" if family == socket.AF_UNIX else ("127.0.0.1" if family == socket.AF_INET else "::1", 0))
        self.master.listen(64)
        self.options = capture(self.master)
        self.log = Remembered()
        self.worker = self.master.dup()
        self.worker.setblocking(False)
        self.guard = ListenerGuard([ListenerSpec(5, "here", self.options)], [self.worker], self.log)

    def look(self) -> list[str]:
        """All beats up to the next whole look; what was said."""
        before = len(self.log.named("socket.altered"))
        for _ in range(LOOK_BEATS):
            self.guard.look(0)
        said = self.log.named("socket.altered")[before:]
        return [name for fields in said for name in fields["options"]]  # type: ignore[attr-defined]  # a list

    def close(self) -> None:
        self.worker.close()
        self.master.close()


@pytest.fixture(params=[socket.AF_INET, socket.AF_INET6, socket.AF_UNIX], ids=["IPv4", "IPv6", "Unix"])
def shared(request: pytest.FixtureRequest) -> Iterator[Shared]:
    if request.param == socket.AF_INET6 and not socket.has_ipv6:
        pytest.skip("no IPv6")
    with closing(Shared(request.param)) as made:
        yield made


@pytest.fixture
def tcp() -> Iterator[Shared]:
    with closing(Shared(socket.AF_INET)) as made:
        yield made


def test_nothing_is_said_or_set_where_nothing_was_changed(shared: Shared) -> None:
    assert shared.look() == []
    assert capture(shared.master) == shared.options


def test_blocking_is_taken_back_with_each_beat(shared: Shared) -> None:
    for _ in range(2):
        fcntl.fcntl(shared.master, fcntl.F_SETFL, os.O_ASYNC)
        shared.guard.look(0)
        flags = fcntl.fcntl(shared.master, fcntl.F_GETFL)
        assert flags & os.O_NONBLOCK
        assert not flags & os.O_ASYNC
    assert [fields["options"] for fields in shared.log.named("socket.altered")] == [["O_NONBLOCK", "O_ASYNC"]]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("SO_LINGER", LINGER),
        ("SO_RCVLOWAT", MANY),
        ("SO_SNDBUF", ONE),
        ("SO_RCVBUF", ONE),
        ("SO_SNDTIMEO", struct.pack("ll", 1, 0)),
        ("SO_MAX_PACING_RATE", struct.pack("Q", 1)),
        ("TCP_DEFER_ACCEPT", ONE),
        ("TCP_USER_TIMEOUT", ONE),
        ("TCP_MAXSEG", struct.pack("i", 88)),
        ("TCP_KEEPIDLE", ONE),
        ("TCP_CONGESTION", b"reno"),
        ("TCP_CORK", ONE),
        ("IP_TTL", ONE),
        ("IP_TOS", struct.pack("i", 0x10)),
        ("IP_MINTTL", struct.pack("i", 255)),
        ("IP_OPTIONS", b"\x01" * 4),
    ],
)
def test_an_option_is_set_again(tcp: Shared, name: str, value: bytes) -> None:
    (option,) = (each for each in listener_options.options_of(socket.AF_INET) if each.name == name)
    tcp.master.setsockopt(option.level, option.number, value)
    assert capture(tcp.master) != tcp.options
    assert name in tcp.look()
    assert capture(tcp.master) == tcp.options
    assert tcp.look() == []


def test_a_backlog_is_set_again(tcp: Shared) -> None:
    tcp.master.listen(0)
    assert tcp.look() == ["backlog"]
    assert capture(tcp.master) == tcp.options


def attach(sock: socket.socket, length: int) -> None:
    """A filter that drops all, of so many instructions."""
    program = struct.pack("=HBBI", 0x06, 0, 0, 0) * length

    instructions = array.array("B", program)
    sock.setsockopt(
        socket.SOL_SOCKET, listener_options.SO_GET_FILTER, struct.pack("HP", length, instructions.buffer_info()[0])
    )


@pytest.mark.parametrize("length", [1, 5, 200])
def test_a_filter_that_drops_everything_is_detached(tcp: Shared, length: int) -> None:
    attach(tcp.master, length)
    assert tcp.look() == ["SO_ATTACH_FILTER"]
    with socket.socket() as client:
        client.setblocking(False)
        client.connect_ex(tcp.master.getsockname())
        assert tcp.look() == []


def test_a_filter_that_an_inherited_listener_came_with_is_left_alone() -> None:
    with socket.create_server(("127.0.0.1", 0)) as inherited:
        inherited.setblocking(False)
        attach(inherited, 1)
        options = capture(inherited)
        log = Remembered()
        guard = ListenerGuard([ListenerSpec(5, "here", options)], [inherited], log)
        for _ in range(LOOK_BEATS):
            guard.look(0)
        assert log.named("socket.altered") == []
        assert "SO_ATTACH_FILTER" in capture(inherited)


def test_a_filter_that_is_locked_is_told_with_the_reason(tcp: Shared) -> None:
    attach(tcp.master, 1)
    tcp.master.setsockopt(socket.SOL_SOCKET, 44, 1)
    assert tcp.look() == ["SO_ATTACH_FILTER (Operation not permitted)"]


def test_the_masters_own_filter_and_what_is_closed_are_left_alone(tcp: Shared) -> None:
    turn_away(tcp.master)
    assert tcp.look() == []
    tcp.worker.close()
    assert tcp.look() == []


def test_a_worker_that_serves_looks_with_each_beat(tcp: Shared) -> None:
    for served in (1, 2):
        tcp.master.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, 1000)
        tcp.guard.look(served)
        assert capture(tcp.master) == tcp.options
    assert [fields["options"] for fields in tcp.log.named("socket.altered")] == [["SO_RCVLOWAT"]]


@pytest.mark.parametrize(("number", "value", "name"), [(13, LINGER, "SO_LINGER"), (18, MANY, "SO_RCVLOWAT")])
def test_accepted_connections_that_inherited_what_loses_requests_are_set_right(
    shared: Shared, number: int, value: bytes, name: str
) -> None:
    before = shared.master.getsockopt(socket.SOL_SOCKET, number, len(value))
    shared.master.setsockopt(socket.SOL_SOCKET, number, value)
    with socket.socket(shared.master.family, socket.SOCK_STREAM) as client:
        client.connect(shared.master.getsockname())
        accepted, _ = shared.master.accept()
    with accepted:
        accepted.setsockopt(socket.SOL_SOCKET, number, value)  # a Unix socket inherits nothing
        shared.guard.mend([accepted.fileno()])
        assert accepted.getsockopt(socket.SOL_SOCKET, number, len(value)) == before
        (told,) = shared.log.named("socket.altered")
        assert (told["address"], told["options"]) == ("accepted connections", [name])
        shared.guard.mend([accepted.fileno()])
        assert len(shared.log.named("socket.altered")) == 1


def test_what_all_listeners_were_found_with_is_left_on_accepted_connections(tcp: Shared) -> None:
    tcp.master.setsockopt(socket.SOL_SOCKET, 13, LINGER)
    guard = ListenerGuard([ListenerSpec(5, "here", capture(tcp.master))], [tcp.worker], tcp.log)
    with socket.create_connection(tcp.master.getsockname()):
        accepted, _ = tcp.master.accept()
        with accepted:
            guard.mend([accepted.fileno()])
            assert accepted.getsockopt(socket.SOL_SOCKET, 13, len(LINGER)) == LINGER
    assert not tcp.log.named("socket.altered")
