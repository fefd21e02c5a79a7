"""The calls as Python makes them, and that those in C are about the same numbers."""

from __future__ import annotations

import errno
import os
import re
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from server_core.transport import syscalls

Ends = tuple[socket.socket, socket.socket]


@pytest.fixture
def ends() -> Iterator[Ends]:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.setblocking(False)
        yield ours, theirs


def test_what_is_sent_is_received(ends: Ends) -> None:
    ours, theirs = ends
    assert syscalls.send(ours.fileno(), b"one\0two") == 7
    assert syscalls.send_both(ours.fileno(), (b"\0three", b"four")) == 10
    theirs.setblocking(False)
    assert syscalls.receive(theirs.fileno(), False) == b"one\0two\0threefour"


def test_nothing_yet_and_the_end_are_not_the_same(ends: Ends) -> None:
    ours, theirs = ends
    with pytest.raises(BlockingIOError):
        syscalls.receive(ours.fileno(), False)
    theirs.close()
    assert syscalls.receive(ours.fileno(), False) == b""


def test_a_kernel_that_takes_nothing_says_so_in_each_way(ends: Ends) -> None:
    ours, _ = ends
    with pytest.raises(BlockingIOError):  # noqa: PT012 - which of the calls depends on net.core.wmem_default
        for _ in range(10_000):
            assert syscalls.send(ours.fileno(), b"x" * 65536) > 0
    with pytest.raises(BlockingIOError):
        syscalls.send_both(ours.fileno(), (b"x" * 65536, b"y"))


def test_a_peer_that_has_gone_is_an_error_with_its_number_and_name(ends: Ends) -> None:
    ours, theirs = ends
    theirs.close()
    for call in (
        lambda: syscalls.send(ours.fileno(), b"x"),
        lambda: syscalls.send_both(ours.fileno(), (b"x", b"y")),
    ):
        with pytest.raises(BrokenPipeError, match=os.strerror(errno.EPIPE)) as caught:
            call()
        assert caught.value.errno == errno.EPIPE


def test_close_closes_and_tells_of_a_descriptor_that_is_none(ends: Ends) -> None:
    fd = ends[0].detach()
    syscalls.close(fd)
    with pytest.raises(OSError, match=os.strerror(errno.EBADF)):
        syscalls.close(fd)


def test_both_forms_receive_as_much() -> None:
    declaration = Path(syscalls.__file__).with_suffix(".pxd").read_text()
    in_c = {name: int(number) for name, number in re.findall(r"^    (\w+_BYTES) = (\d+)$", declaration, re.MULTILINE)}
    assert in_c == {name: getattr(syscalls, name) for name in ("FEW_BYTES", "READ_BYTES")}
