"""The master's side of the scoreboard: what a worker stored is read, outlives it, and is counted once."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from server_core.contract.figures import Figures, pack_figures
from server_core.contract.scoreboard import IN_FLIGHT_OFFSET, RECORD_BYTES, SLOTS_MAX, InFlight, pack_in_flight
from supervisor_d import clock
from supervisor_d.host.observation.scoreboard import Scoreboard
from supervisor_d.vocabulary import Generation, Slot
from tests.helpers.records import record_fd

FIGURES = Figures(
    pid=77,
    generation=3,
    loop_beat_at=0.5,
    thread_beat_at=0.75,
    loop_lag_s=0.25,
    connections=4,
    in_flight=2,
    requests_total=10,
    responses=(1, 5, 2, 1, 1),
    overloads_total=3,
    evictions_total=4,
    dropped_fields_total=6,
    threads=10,
    threads_busy=3,
    threads_queued=1,
    latency_sum_s=1.5,
    latency=tuple(range(14)),
)


GENERATION = Generation(3)


class Board:
    """A scoreboard, and whose records it refused."""

    def __init__(self) -> None:
        self.refused: list[tuple[Slot, str]] = []
        self.scoreboard = Scoreboard(lambda slot, fault: self.refused.append((slot, fault)))

    def store(self, slot: Slot, figures: Figures) -> None:
        """What a worker does, through its own map of the same file."""
        os.pwrite(record_fd(slot), pack_figures(figures), 0)


@pytest.fixture
def board() -> Iterator[Board]:
    made = Board()
    yield made
    made.scoreboard.close()


def test_a_fresh_slot_has_no_figures_and_takes_no_memory(board: Board) -> None:
    fd = board.scoreboard.renew(Slot(SLOTS_MAX - 1), GENERATION)
    assert board.scoreboard.figures(Slot(SLOTS_MAX - 1)) == Figures()
    assert board.scoreboard.in_flight(Slot(1)) == []
    assert board.scoreboard.stacks(Slot(1)) == ""
    assert os.fstat(fd).st_blocks == 0
    assert board.refused == []


def test_what_a_worker_stored_is_read_in_its_slot_alone(board: Board) -> None:
    for slot in (1, 2, 3):
        board.scoreboard.renew(Slot(slot), GENERATION)
    board.store(Slot(2), FIGURES)
    assert board.scoreboard.figures(Slot(2)) == FIGURES
    assert board.scoreboard.figures(Slot(1)) == Figures()
    assert board.scoreboard.figures(Slot(3)) == Figures()


def test_requests_in_flight_are_read_oldest_first(board: Board) -> None:
    board.scoreboard.renew(Slot(1), GENERATION)
    entries = [InFlight(0.25, "GET", "/slow"), InFlight(0.5, "POST", "/later")]
    os.pwrite(record_fd(1), pack_in_flight(entries), IN_FLIGHT_OFFSET)
    assert board.scoreboard.in_flight(Slot(1)) == entries


def test_a_new_process_has_a_file_that_its_predecessor_does_not_hold(board: Board) -> None:
    old = os.dup(board.scoreboard.renew(Slot(1), GENERATION))
    board.scoreboard.retire(Slot(1))
    board.scoreboard.renew(Slot(1), GENERATION)
    os.pwrite(old, pack_figures(FIGURES), 0)
    os.close(old)
    assert board.scoreboard.figures(Slot(1)) == Figures()


def test_counters_of_the_gone_are_kept_once_and_gauges_are_not(board: Board) -> None:
    for _ in range(2):
        board.scoreboard.renew(Slot(1), GENERATION)
        board.store(Slot(1), FIGURES)
        board.scoreboard.retire(Slot(1))
        assert board.scoreboard.figures(Slot(1)) == Figures()
    board.scoreboard.retire(Slot(1))
    assert board.scoreboard.retired == Figures(
        requests_total=20,
        responses=(2, 10, 4, 2, 2),
        overloads_total=6,
        evictions_total=8,
        dropped_fields_total=12,
        latency_sum_s=3.0,
        latency=tuple(2 * count for count in range(14)),
    )


@pytest.mark.parametrize("garbage", [b"\xff", b"\x7f", b"\xf0\x7f", b"\0\0\xf8\x7f"])
def test_garbage_in_a_record_is_told_once_and_never_passed_on(board: Board, garbage: bytes) -> None:
    board.scoreboard.renew(Slot(1), GENERATION)
    board.store(Slot(1), FIGURES)
    sound = board.scoreboard.figures(Slot(1))
    os.pwrite(record_fd(1), garbage * (IN_FLIGHT_OFFSET // len(garbage)), 0)
    for _ in range(3):
        assert board.scoreboard.figures(Slot(1)) == sound
    ((slot, fault),) = board.refused
    assert slot == Slot(1)
    assert "must be" in fault
    board.scoreboard.retire(Slot(1))
    assert board.scoreboard.retired.requests_total == FIGURES.requests_total
    assert board.scoreboard.retired.latency_sum_s == FIGURES.latency_sum_s


def test_a_beat_of_the_future_is_not_believed(board: Board) -> None:
    board.scoreboard.renew(Slot(1), GENERATION)
    board.store(Slot(1), FIGURES._replace(loop_beat_at=clock.now() + 60.0))
    assert board.scoreboard.figures(Slot(1)).loop_beat_at == 0.0
    assert [slot for slot, _ in board.refused] == [Slot(1)]


def test_a_process_that_follows_is_told_of_anew(board: Board) -> None:
    for _ in range(2):
        board.scoreboard.renew(Slot(1), GENERATION)
        board.store(Slot(1), FIGURES._replace(connections=-1))
        board.scoreboard.figures(Slot(1))
        board.scoreboard.retire(Slot(1))
    assert len(board.refused) == 2


def test_garbage_among_the_requests_in_flight_is_left_out(board: Board) -> None:
    board.scoreboard.renew(Slot(1), GENERATION)
    os.pwrite(record_fd(1), b"\xff" * (RECORD_BYTES - IN_FLIGHT_OFFSET), IN_FLIGHT_OFFSET)
    assert board.scoreboard.in_flight(Slot(1)) == []
    assert [slot for slot, _ in board.refused] == [Slot(1)]


def test_a_slot_that_there_cannot_be_is_refused(board: Board) -> None:
    with pytest.raises(ValueError, match="slot: must be from 0"):
        board.scoreboard.renew(Slot(SLOTS_MAX), GENERATION)
