"""The master's side of the scoreboard: what a worker stored is read, outlives it, and is counted once."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from server_core.contract import (
    IN_FLIGHT_OFFSET,
    RECORD_BYTES,
    SLOTS_MAX,
    Figures,
    InFlight,
    pack_figures,
    pack_in_flight,
    record_offset,
)
from supervisor_d.host.scoreboard import Scoreboard
from supervisor_d.vocabulary import Slot

FIGURES = Figures(
    pid=77,
    generation=3,
    loop_beat_at=12.5,
    thread_beat_at=12.75,
    loop_lag_s=0.25,
    connections=4,
    in_flight=2,
    requests_total=10,
    responses_1xx=1,
    responses_2xx=5,
    responses_3xx=2,
    responses_4xx=1,
    responses_5xx=1,
    overloads_total=3,
    evictions_total=4,
    latency_sum_s=1.5,
    latency=tuple(range(14)),
)


@pytest.fixture
def scoreboard() -> Iterator[Scoreboard]:
    made = Scoreboard()
    yield made
    made.close()


def store(scoreboard: Scoreboard, slot: Slot, figures: Figures) -> None:
    """What a worker does, through its own map of the same file."""
    os.pwrite(scoreboard.fd, pack_figures(figures), record_offset(slot))


def test_a_fresh_slot_has_no_figures_and_takes_no_memory(scoreboard: Scoreboard) -> None:
    assert scoreboard.figures(Slot(SLOTS_MAX - 1)) == Figures()
    assert scoreboard.in_flight(Slot(1)) == []
    assert os.fstat(scoreboard.fd).st_blocks == 0


def test_what_a_worker_stored_is_read_in_its_slot_alone(scoreboard: Scoreboard) -> None:
    store(scoreboard, Slot(2), FIGURES)
    assert scoreboard.figures(Slot(2)) == FIGURES
    assert scoreboard.figures(Slot(1)) == Figures()
    assert scoreboard.figures(Slot(3)) == Figures()


def test_requests_in_flight_are_read_oldest_first(scoreboard: Scoreboard) -> None:
    entries = [InFlight(1.5, "GET", "/slow"), InFlight(2.5, "POST", "/later")]
    os.pwrite(scoreboard.fd, pack_in_flight(entries), record_offset(1) + IN_FLIGHT_OFFSET)
    assert scoreboard.in_flight(Slot(1)) == entries


def test_clearing_blanks_one_record_to_its_last_byte(scoreboard: Scoreboard) -> None:
    for slot in (1, 2):
        os.pwrite(scoreboard.fd, b"\xff" * RECORD_BYTES, record_offset(slot))
    scoreboard.clear(Slot(1))
    assert os.pread(scoreboard.fd, RECORD_BYTES, record_offset(1)) == bytes(RECORD_BYTES)
    assert os.pread(scoreboard.fd, RECORD_BYTES, record_offset(2)) == b"\xff" * RECORD_BYTES


def test_counters_of_the_gone_are_kept_once_and_gauges_are_not(scoreboard: Scoreboard) -> None:
    for _ in range(2):
        store(scoreboard, Slot(1), FIGURES)
        scoreboard.retire(Slot(1))
        assert scoreboard.figures(Slot(1)) == Figures()
    scoreboard.retire(Slot(1))
    assert scoreboard.retired == Figures(
        requests_total=20,
        responses_1xx=2,
        responses_2xx=10,
        responses_3xx=4,
        responses_4xx=2,
        responses_5xx=2,
        overloads_total=6,
        evictions_total=8,
        latency_sum_s=3.0,
        latency=tuple(2 * count for count in range(14)),
    )


def test_a_slot_that_the_scoreboard_does_not_have_is_refused(scoreboard: Scoreboard) -> None:
    with pytest.raises(ValueError, match="slot: must be from 0"):
        scoreboard.clear(Slot(SLOTS_MAX))
