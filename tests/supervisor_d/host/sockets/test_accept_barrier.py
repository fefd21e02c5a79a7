"""Once newcomers are turned away, who waits in the queue can still be accepted, and nobody else gets in."""

from __future__ import annotations

import errno
import select
import socket
import sys
from pathlib import Path

import pytest

from supervisor_d.host.sockets.accept_barrier import end, refuse, turn_away


def listening(family: socket.AddressFamily, address: object) -> socket.socket:
    listener = socket.socket(family)
    listener.bind(address)  # type: ignore[arg-type]  # of whatever family
    listener.listen(8)
    listener.setblocking(False)
    return listener


def accepted_bytes(listener: socket.socket) -> bytes:
    connection, _ = listener.accept()
    with connection:
        connection.settimeout(20)
        return connection.recv(16)


def outcome(client: socket.socket) -> str:
    """How a connect that was begun ends."""
    poll = select.poll()
    poll.register(client, select.POLLOUT)
    assert poll.poll(20_000), "a connect ends one way or another"
    return errno.errorcode[client.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)]


@pytest.mark.skipif(sys.platform != "linux", reason="socket filters are Linux's")
@pytest.mark.parametrize(
    ("family", "host"), [(socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")], ids=["IPv4", "IPv6"]
)
def test_over_tcp_the_queue_is_served_and_a_newcomer_is_refused_when_it_asks_again(
    family: socket.AddressFamily, host: str
) -> None:
    with listening(family, (host, 0)) as listener, socket.socket(family) as early, socket.socket(family) as late:
        address = listener.getsockname()
        early.settimeout(20)
        early.connect(address)
        turn_away(listener)
        turn_away(listener)
        late.setblocking(False)
        assert late.connect_ex(address) == errno.EINPROGRESS
        early.sendall(b"was here before")
        assert accepted_bytes(listener) == b"was here before"
        with pytest.raises(BlockingIOError):
            listener.accept()
        listener.close()
        assert outcome(late) == "ECONNREFUSED"


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere a Unix listener cannot be shut down")
@pytest.mark.parametrize("abstract", [False, True])
def test_over_a_unix_socket_the_queue_is_served_and_a_newcomer_is_refused_at_once(
    abstract: bool, tmp_path: Path
) -> None:
    address = f"\0{tmp_path}/listener" if abstract else str(tmp_path / "listener")
    with listening(socket.AF_UNIX, address) as listener, socket.socket(socket.AF_UNIX) as early:
        early.settimeout(20)
        early.connect(address)
        turn_away(listener)
        turn_away(listener)
        with socket.socket(socket.AF_UNIX) as late:
            assert late.connect_ex(address) == errno.ECONNREFUSED
        early.sendall(b"was here before")
        assert accepted_bytes(listener) == b"was here before"
        with pytest.raises(OSError):
            listener.accept()


def test_a_socket_that_cannot_be_closed_to_newcomers_is_left_as_it_is() -> None:
    with socket.socket(socket.AF_UNIX) as unconnected:
        turn_away(unconnected)


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere a listener cannot be shut down")
@pytest.mark.parametrize("kind", ["tcp", "unix", "abstract"])
@pytest.mark.parametrize("turned_away", [False, True])
def test_those_that_are_left_in_a_queue_at_the_end_are_counted_and_reset(
    kind: str, turned_away: bool, tmp_path: Path
) -> None:
    family = socket.AF_INET if kind == "tcp" else socket.AF_UNIX
    address = {"tcp": ("127.0.0.1", 0), "unix": str(tmp_path / "listener"), "abstract": f"\0{tmp_path}/listener"}[kind]
    with listening(family, address) as listener, socket.socket(family) as first, socket.socket(family) as second:
        for client in (first, second):
            client.settimeout(20)
            client.connect(listener.getsockname())
            client.sendall(b"GET")
        if turned_away:
            turn_away(listener)
        assert end(listener) == 2
        for client in (first, second):
            with pytest.raises(ConnectionResetError):
                client.recv(1)
        assert end(listener) == 0


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere a Unix listener cannot be shut down")
def test_those_that_wait_at_a_unix_socket_that_refuses_can_still_be_accepted(tmp_path: Path) -> None:
    address = str(tmp_path / "listener")
    with listening(socket.AF_UNIX, address) as listener, socket.socket(socket.AF_UNIX) as early:
        early.connect(address)
        early.sendall(b"was here before")
        refuse(listener)
        assert accepted_bytes(listener) == b"was here before"
