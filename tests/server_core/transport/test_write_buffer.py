"""What the kernel does not take goes out later, whole and in its order."""

from __future__ import annotations

import socket

import pytest

from server_core.transport.write_buffer import PARTS, WriteBuffer


def test_what_does_not_fit_is_kept_in_its_order_and_written_as_room_comes() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.setblocking(False)
        theirs.settimeout(10)  # s; paid only where bytes are lost
        parts = [bytes([number % 251]) * 7919 for number in range(3 * PARTS)]
        buffer = WriteBuffer()
        for part in parts:
            buffer.add(memoryview(part))
        whole, read = b"".join(parts), b""
        assert buffer.size == len(whole)
        while len(read) < len(whole):
            before = buffer.size
            assert buffer.write_to(ours.fileno()) == before - buffer.size
            assert bool(buffer) is (buffer.size > 0)
            read += theirs.recv(65536)
        assert read == whole
        assert not buffer


def test_a_full_socket_is_no_error_and_a_broken_one_is() -> None:
    ours, theirs = socket.socketpair()
    with ours:
        ours.setblocking(False)
        buffer = WriteBuffer()
        buffer.add(memoryview(bytes(1 << 24)))
        buffer.write_to(ours.fileno())
        left = buffer.size
        assert 0 < left < 1 << 24
        buffer.write_to(ours.fileno())
        assert buffer.size == left
        theirs.close()
        with pytest.raises(OSError, match=r"Broken pipe|reset"):
            buffer.write_to(ours.fileno())
