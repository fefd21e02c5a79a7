"""The table of loads: who leaves the next connection to whom, and for how long."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator

import pytest

from server_core.contract import LOAD, SCOREBOARD_BYTES, load_offset
from server_core.errors import ContractError
from server_core.loads import PAUSE_MAX_S, PAUSE_S, Loads

BEAT_S = 1.0

Worker = Callable[[int, int], Loads]


@pytest.fixture
def fd() -> Iterator[int]:
    fd = os.memfd_create("scoreboard")
    os.ftruncate(fd, SCOREBOARD_BYTES)
    os.pwrite(fd, LOAD.pack(4, 0.0), load_offset(0))
    yield fd
    os.close(fd)


@pytest.fixture
def worker(fd: int) -> Iterator[Worker]:
    """Makes a worker that accepts, beats, and holds so many connections."""
    made: list[Loads] = []

    def make(slot: int, connections: int) -> Loads:
        loads = Loads.shared(fd, slot, BEAT_S)
        loads.beat(time.monotonic())
        loads.store(connections)
        made.append(loads)
        return loads

    yield make
    for loads in made:
        loads.close()


def test_a_worker_alone_never_waits(worker: Worker) -> None:
    assert worker(1, 1000).pause_s() == 0.0


def test_the_least_loaded_never_waits_and_the_others_do_in_proportion(worker: Worker) -> None:
    first, second, third = worker(1, 3), worker(2, 5), worker(4, 3)
    assert first.pause_s() == third.pause_s() == 0.0
    assert second.pause_s() == pytest.approx(2 * PAUSE_S)


def test_no_worker_waits_longer_than_the_longest_pause(worker: Worker) -> None:
    worker(1, 0)
    assert worker(2, 10_000).pause_s() == PAUSE_MAX_S


def test_a_worker_that_does_not_accept_makes_nobody_wait(worker: Worker) -> None:
    leaving, busy = worker(1, 0), worker(2, 9)
    assert busy.pause_s() > 0
    leaving.withdraw()
    assert busy.pause_s() == 0.0
    leaving.beat(time.monotonic())
    assert busy.pause_s() == 0.0, "a beat does not bring it back"
    leaving.store(0)
    assert busy.pause_s() > 0


def test_a_worker_whose_loop_stands_still_makes_nobody_wait(worker: Worker) -> None:
    hung, busy = worker(1, 0), worker(2, 9)
    hung.beat(time.monotonic() - 2.5 * BEAT_S)
    assert busy.pause_s() == 0.0
    hung.beat(time.monotonic())
    assert busy.pause_s() > 0


def test_a_slot_beyond_the_highest_in_use_is_not_looked_at(worker: Worker, fd: int) -> None:
    busy = worker(2, 9)
    worker(7, 0)
    assert busy.pause_s() == 0.0
    os.pwrite(fd, LOAD.pack(7, 0.0), load_offset(0))
    assert busy.pause_s() > 0


@pytest.mark.parametrize("slot", [0, -1, 4096])
def test_a_slot_that_has_no_entry_is_refused_by_name(fd: int, slot: int) -> None:
    with pytest.raises(ContractError, match="slot must be from 1 to 4095"):
        Loads.shared(fd, slot, BEAT_S)


def test_a_scoreboard_without_the_table_is_refused_by_name() -> None:
    fd = os.memfd_create("short")
    with pytest.raises(ContractError, match=f"scoreboard_fd {fd} has no table of loads"):
        Loads.shared(fd, 1, BEAT_S)
    os.close(fd)
