"""Small parts of a response leave together, in their order, and never later than the loop's next turn."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest

from server_core.runtime.server_loop import ServerLoop
from server_core.transport.write_coalescer import ENOUGH_BYTES, WriteCoalescer


@pytest.fixture
def loop() -> Iterator[asyncio.AbstractEventLoop]:
    made = asyncio.new_event_loop()
    yield made
    made.close()


def turn(loop: asyncio.AbstractEventLoop) -> None:
    loop.call_soon(loop.stop)
    loop.run_forever()


def test_parts_wait_for_one_turn_of_the_loop_and_leave_together(loop: asyncio.AbstractEventLoop) -> None:
    written: list[bytes] = []
    coalescer = WriteCoalescer(ServerLoop(loop), written.append)
    coalescer.add(b"a")
    coalescer.add(b"b")
    assert written == []
    turn(loop)
    assert written == [b"ab"]
    turn(loop)
    assert written == [b"ab"]


def test_enough_parts_leave_at_once_and_what_follows_waits_again(loop: asyncio.AbstractEventLoop) -> None:
    written: list[bytes] = []
    coalescer = WriteCoalescer(ServerLoop(loop), written.append)
    half = b"x" * (ENOUGH_BYTES // 2)
    coalescer.add(half)
    coalescer.add(half)
    assert written == [half + half]
    coalescer.add(b"y")
    assert written == [half + half]
    turn(loop)
    assert written == [half + half, b"y"]


def test_a_large_part_is_not_copied_and_overtakes_nothing(loop: asyncio.AbstractEventLoop) -> None:
    written: list[bytes] = []
    coalescer = WriteCoalescer(ServerLoop(loop), written.append)
    large = b"x" * ENOUGH_BYTES
    coalescer.add(large)
    assert written[0] is large
    coalescer.add(b"small")
    coalescer.add(large)
    assert b"".join(written) == large + b"small" + large


def test_who_ends_the_connection_can_have_them_written_before(loop: asyncio.AbstractEventLoop) -> None:
    written: list[bytes] = []
    coalescer = WriteCoalescer(ServerLoop(loop), written.append)
    coalescer.add(b"a")
    coalescer.flush()
    assert written == [b"a"]
    coalescer.flush()
    turn(loop)
    assert written == [b"a"]
