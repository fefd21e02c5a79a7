"""What the kernel tells of a listener's handshakes and queue."""

from __future__ import annotations

import errno
import socket
import sys
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from server_core.listen.accept_queue import under_way, waiting

linux = pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells handshakes under way")

FAMILIES = pytest.mark.parametrize(
    ("family", "host"), [(socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")], ids=["IPv4", "IPv6"]
)


@pytest.fixture
def sockets() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


def listening(sockets: ExitStack, family: socket.AddressFamily, host: str, *, deferred: bool) -> socket.socket:
    """With `deferred` the handshake is under way until the client's first bytes (TCP_DEFER_ACCEPT, tcp(7))."""
    listener = sockets.enter_context(socket.socket(family))
    listener.bind((host, 0))
    listener.listen()
    listener.setblocking(False)
    if deferred:
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_DEFER_ACCEPT, 60)
    return listener


def connect(sockets: ExitStack, listener: socket.socket) -> socket.socket:
    client = sockets.enter_context(socket.socket(listener.family))
    client.settimeout(20)
    client.connect(listener.getsockname())
    return client


@linux
@FAMILIES
def test_a_handshake_is_under_way_until_the_client_is_in_the_queue(
    sockets: ExitStack, family: socket.AddressFamily, host: str
) -> None:
    listener = listening(sockets, family, host, deferred=True)
    other = listening(sockets, family, host, deferred=True)
    assert not under_way(listener)
    client = connect(sockets, listener)
    assert under_way(listener)
    assert not under_way(other), "another listener's"
    assert waiting(listener) == 0
    client.sendall(b"x")
    assert not under_way(listener)
    assert waiting(listener) == 1


@FAMILIES
def test_who_waits_in_a_queue_is_counted(sockets: ExitStack, family: socket.AddressFamily, host: str) -> None:
    listener = listening(sockets, family, host, deferred=False)
    assert waiting(listener) == 0
    for _ in range(3):
        connect(sockets, listener)
    assert waiting(listener) == (3 if sys.platform == "linux" else 1)


def test_over_a_unix_socket_there_is_no_handshake_and_somebody_waits_or_nobody(sockets: ExitStack) -> None:
    listener = sockets.enter_context(socket.socket(socket.AF_UNIX))
    listener.bind("")  # an abstract name of the kernel's choice
    listener.listen()
    assert not under_way(listener)
    assert waiting(listener) == 0
    connect(sockets, listener)
    connect(sockets, listener)
    assert not under_way(listener)
    assert waiting(listener) == 1


@linux
def test_what_cannot_be_asked_counts_as_a_handshake(sockets: ExitStack, monkeypatch: pytest.MonkeyPatch) -> None:
    listener = listening(sockets, socket.AF_INET, "127.0.0.1", deferred=False)

    def refuse(*_: object) -> socket.socket:
        raise OSError(errno.EPROTONOSUPPORT, "a sandbox")

    monkeypatch.setattr(socket, "socket", refuse)
    assert under_way(listener)
