"""The scoreboard: what a worker stores is what a master reads, record by record."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from server_core.contract import (
    RECORD_BYTES,
    SCOREBOARD_BYTES,
    SLOTS_MAX,
    Figures,
    InFlight,
    record_offset,
    unpack_figures,
    unpack_in_flight,
)
from server_core.errors import ContractError
from server_core.scoreboard import Scoreboard


@pytest.fixture
def fd() -> Iterator[int]:
    fd = os.memfd_create("scoreboard")
    os.ftruncate(fd, SCOREBOARD_BYTES)
    yield fd
    os.close(fd)


def record(fd: int, slot: int) -> bytes:
    return os.pread(fd, RECORD_BYTES, record_offset(slot))


def test_figures_and_beats_are_read_as_they_were_stored(fd: int) -> None:
    board = Scoreboard.shared(fd, 3)
    board.beat_loop(10.5)
    board.beat_thread(11.5)
    figures = Figures(pid=7, generation=2, loop_lag_s=0.25, connections=4, responses_5xx=9, latency=tuple(range(14)))
    board.store_figures(figures)
    assert unpack_figures(record(fd, 3)) == figures._replace(loop_beat_at=10.5, thread_beat_at=11.5)
    assert board.loop_beat_at() == 10.5
    board.close()


def test_figures_never_set_a_beat_back(fd: int) -> None:
    board = Scoreboard.shared(fd, 1)
    board.beat_loop(10.0)
    board.beat_thread(20.0)
    board.store_figures(Figures(loop_beat_at=1.0, thread_beat_at=2.0))
    figures = unpack_figures(record(fd, 1))
    assert (figures.loop_beat_at, figures.thread_beat_at) == (10.0, 20.0)
    board.close()


def test_the_in_flight_table_is_stored_and_emptied(fd: int) -> None:
    board = Scoreboard.shared(fd, 1)
    entries = [InFlight(1.5, "GET", "/a"), InFlight(2.5, "POST", "/ü")]
    board.store_in_flight(entries)
    assert unpack_in_flight(record(fd, 1)) == entries
    board.store_in_flight([])
    assert unpack_in_flight(record(fd, 1)) == []
    board.close()


def test_a_record_is_emptied_of_the_slots_last_worker_and_of_nobody_else(fd: int) -> None:
    first, neighbour = Scoreboard.shared(fd, 1), Scoreboard.shared(fd, 2)
    for board in (first, neighbour):
        board.beat_loop(1.0)
        board.store_in_flight([InFlight(1.0, "GET", "/")])
    second = Scoreboard.shared(fd, 1)
    assert record(fd, 1) == bytes(RECORD_BYTES)
    assert unpack_in_flight(record(fd, 2)) == [InFlight(1.0, "GET", "/")]
    for board in (first, neighbour, second):
        board.close()


def test_the_last_slot_has_a_record_and_the_next_has_none(fd: int) -> None:
    board = Scoreboard.shared(fd, SLOTS_MAX - 1)
    board.beat_loop(1.0)
    board.close()
    with pytest.raises(ValueError, match="slot: must be from 0"):
        Scoreboard.shared(fd, SLOTS_MAX)


def test_a_scoreboard_that_is_too_small_is_the_masters_fault() -> None:
    fd = os.memfd_create("small")
    with pytest.raises(ContractError, match=f"scoreboard_fd {fd} has no record of slot 1"):
        Scoreboard.shared(fd, 1)
    os.close(fd)


def test_without_a_supervisor_the_same_stores_go_nowhere() -> None:
    board = Scoreboard.private()
    board.beat_loop(2.0)
    board.store_figures(Figures(pid=1))
    assert board.loop_beat_at() == 2.0
    board.close()
