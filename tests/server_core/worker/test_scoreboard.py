"""The scoreboard: what a worker stores is what a master reads, record by record."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from server_core.contract.figures import Figures, unpack_figures
from server_core.contract.scoreboard import RECORD_BYTES, RECORD_FILE_BYTES, InFlight, unpack_in_flight
from server_core.errors import ContractError
from server_core.worker.scoreboard import Scoreboard


@pytest.fixture
def fd() -> Iterator[int]:
    fd = os.memfd_create("scoreboard")
    os.ftruncate(fd, RECORD_FILE_BYTES)
    yield fd
    os.close(fd)


def record(fd: int) -> bytes:
    return os.pread(fd, RECORD_BYTES, 0)


def test_figures_and_beats_are_read_as_they_were_stored(fd: int) -> None:
    board = Scoreboard.shared(fd)
    board.beat_loop(10.5)
    board.beat_thread(11.5)
    figures = Figures(
        pid=7, generation=2, loop_lag_s=0.25, connections=4, responses=(0, 0, 0, 0, 9), latency=tuple(range(14))
    )
    board.store_figures(figures)
    assert unpack_figures(record(fd)) == figures._replace(loop_beat_at=10.5, thread_beat_at=11.5)
    assert board.loop_beat_at() == 10.5
    board.close()


def test_figures_never_set_a_beat_back(fd: int) -> None:
    board = Scoreboard.shared(fd)
    board.beat_loop(10.0)
    board.beat_thread(20.0)
    board.store_figures(Figures(loop_beat_at=1.0, thread_beat_at=2.0))
    figures = unpack_figures(record(fd))
    assert (figures.loop_beat_at, figures.thread_beat_at) == (10.0, 20.0)
    board.close()


def test_the_in_flight_table_is_stored_and_emptied(fd: int) -> None:
    board = Scoreboard.shared(fd)
    entries = [InFlight(1.5, "GET", "/a"), InFlight(2.5, "POST", "/ü")]
    board.store_in_flight(entries)
    assert unpack_in_flight(record(fd)) == entries
    board.store_in_flight([])
    assert unpack_in_flight(record(fd)) == []
    board.close()


def test_a_descriptor_without_a_record_is_the_masters_fault() -> None:
    fd = os.memfd_create("small")
    with pytest.raises(ContractError, match=f"record_fd {fd} holds no record"):
        Scoreboard.shared(fd)
    os.close(fd)


def test_without_a_supervisor_the_same_stores_go_nowhere() -> None:
    board = Scoreboard.private()
    board.beat_loop(2.0)
    board.store_figures(Figures(pid=1))
    assert board.loop_beat_at() == 2.0
    board.close()
