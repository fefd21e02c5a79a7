"""The table of loads: who leaves the next connection to whom, and for how long."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable, Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server_core.contract.scoreboard import LOAD, LOADS_BYTES, SLOTS_MAX, load_offset
from server_core.errors import ContractError
from server_core.listen.fair_accept import AHEAD, AT_ONCE, PAUSE_MAX_S, PAUSE_S, FairAccept, pause_s, share

BEAT_S = 1.0

Worker = Callable[[int, int], FairAccept]


@pytest.fixture
def fd() -> Iterator[int]:
    fd = os.memfd_create("loads")
    os.ftruncate(fd, LOADS_BYTES)
    os.pwrite(fd, LOAD.pack(4, 0.0), load_offset(0))
    yield fd
    os.close(fd)


@pytest.fixture
def worker(fd: int) -> Iterator[Worker]:
    """Makes a worker that accepts, beats, and holds so many connections."""
    made: list[FairAccept] = []

    def make(slot: int, connections: int) -> FairAccept:
        loads = FairAccept.shared(fd, slot, BEAT_S)
        loads.beat(time.monotonic())
        loads.store(connections)
        made.append(loads)
        return loads

    yield make
    for loads in made:
        loads.close()


def test_a_worker_alone_takes_many_at_once(worker: Worker) -> None:
    assert share(worker(1, 1000).lead()) == AT_ONCE


def test_who_has_fewer_catches_up_and_a_little_more(worker: Worker) -> None:
    first, second, third = worker(1, 3), worker(2, 8), worker(3, 9)
    assert [share(loads.lead()) for loads in (first, second, third)] == [5 + AHEAD, 1, 1]
    first.store(8)
    assert share(first.lead()) == AHEAD
    second.store(1000)
    third.store(1000)
    assert share(first.lead()) == AT_ONCE


def test_a_small_lead_is_no_reason_to_wait(worker: Worker) -> None:
    worker(1, 10)
    assert pause_s(worker(2, 10 + AHEAD - 1).lead()) == 0.0
    assert pause_s(worker(3, 10 + AHEAD).lead()) == PAUSE_S


def test_a_worker_alone_never_waits(worker: Worker) -> None:
    assert pause_s(worker(1, 1000).lead()) == 0.0


def test_the_least_loaded_never_waits_and_the_others_do_in_proportion(worker: Worker) -> None:
    first, second, third = worker(1, 3), worker(2, 3 + AHEAD + 1), worker(4, 3)
    assert pause_s(first.lead()) == pause_s(third.lead()) == 0.0
    assert pause_s(second.lead()) == pytest.approx(2 * PAUSE_S)


def test_no_worker_waits_longer_than_the_longest_pause(worker: Worker) -> None:
    worker(1, 0)
    assert pause_s(worker(2, 10_000).lead()) == PAUSE_MAX_S


def test_who_has_not_its_share_of_a_long_queue_is_not_ahead_yet(worker: Worker) -> None:
    first, second = worker(1, 10), worker(2, 10 + AHEAD)
    for waiting in range(8 * (AHEAD + 1)):
        assert first.lead(lambda waiting=waiting: waiting) == -AHEAD  # type: ignore[misc]  # mypy infers no type for it
        assert pause_s(second.lead(lambda waiting=waiting: waiting)) == PAUSE_S  # type: ignore[misc]  # as above
    long = 8 * (AHEAD + 2)
    assert second.lead(lambda: long) == AHEAD - 2
    assert pause_s(second.lead(lambda: long)) == 0.0
    assert share(second.lead(lambda: long)) == 2


def test_the_queue_of_a_worker_alone_is_not_asked_for(worker: Worker) -> None:
    assert worker(1, 1).lead(lambda: pytest.fail("asked")) is None


def test_a_worker_that_does_not_accept_makes_nobody_wait(worker: Worker) -> None:
    leaving, busy = worker(1, 0), worker(2, 9)
    assert pause_s(busy.lead()) > 0
    leaving.withdraw()
    assert pause_s(busy.lead()) == 0.0
    leaving.beat(time.monotonic())
    assert pause_s(busy.lead()) == 0.0, "a beat does not bring it back"
    leaving.store(0)
    assert pause_s(busy.lead()) > 0


def test_a_worker_whose_loop_stands_still_makes_nobody_wait(worker: Worker) -> None:
    hung, busy = worker(1, 0), worker(2, 9)
    hung.beat(time.monotonic() - 2.5 * BEAT_S)
    assert pause_s(busy.lead()) == 0.0
    hung.beat(time.monotonic())
    assert pause_s(busy.lead()) > 0


def test_a_slot_beyond_the_highest_in_use_is_not_looked_at(worker: Worker, fd: int) -> None:
    busy = worker(2, 9)
    worker(7, 0)
    assert pause_s(busy.lead()) == 0.0
    os.pwrite(fd, LOAD.pack(7, 0.0), load_offset(0))
    assert pause_s(busy.lead()) > 0


@pytest.mark.parametrize("slot", [0, -1, 4096])
def test_a_slot_that_has_no_entry_is_refused_by_name(fd: int, slot: int) -> None:
    with pytest.raises(ContractError, match="slot must be from 1 to 4095"):
        FairAccept.shared(fd, slot, BEAT_S)


def test_a_scoreboard_without_the_table_is_refused_by_name() -> None:
    fd = os.memfd_create("short")
    with pytest.raises(ContractError, match=f"loads_fd {fd} holds no table of loads"):
        FairAccept.shared(fd, 1, BEAT_S)
    os.close(fd)


GARBAGE = (
    b"\xff" * 16,
    b"\0" * 16,
    LOAD.pack(1, math.nan),
    LOAD.pack(1, math.inf),
    LOAD.pack(-5, 1e308),
    LOAD.pack(2**62, 1.0),
)


@pytest.mark.parametrize("garbage", GARBAGE)
def test_garbage_in_the_table_costs_a_pause_at_most(fd: int, worker: Worker, garbage: bytes) -> None:
    first = worker(1, 10)
    os.pwrite(fd, garbage * SLOTS_MAX, 0)
    for _ in range(2):
        lead = first.lead()
        assert 0.0 <= pause_s(lead) <= PAUSE_MAX_S
        assert 1 <= share(lead) <= AT_ONCE
        first.beat(time.monotonic())
        first.store(11)


@given(st.binary(min_size=64 * LOAD.size, max_size=64 * LOAD.size))
def test_any_bytes_in_the_table_can_be_borne_with(table: bytes) -> None:
    fd = os.memfd_create("loads")
    os.ftruncate(fd, LOADS_BYTES)
    os.pwrite(fd, table, 0)
    loads = FairAccept.shared(fd, 3, BEAT_S)
    os.close(fd)
    loads.store(5)
    lead = loads.lead(lambda: 100)
    assert 0.0 <= pause_s(lead) <= PAUSE_MAX_S
    assert 1 <= share(lead) <= AT_ONCE
    loads.close()
