"""The in-flight table of a record, and that it fits beside the figures."""

from __future__ import annotations

from server_core.contract.figures import (
    FIGURES,
)
from server_core.contract.scoreboard import (
    IN_FLIGHT_MAX,
    IN_FLIGHT_OFFSET,
    RECORD_BYTES,
    InFlight,
    pack_in_flight,
    unpack_in_flight,
)


def test_figures_and_table_fit_their_record_and_do_not_overlap() -> None:
    assert FIGURES.size <= IN_FLIGHT_OFFSET
    assert IN_FLIGHT_OFFSET + len(pack_in_flight([])) <= RECORD_BYTES


def in_record(entries: list[InFlight]) -> bytes:
    return bytes(IN_FLIGHT_OFFSET) + pack_in_flight(entries)


def test_the_in_flight_table_tells_the_oldest_that_fit_and_cuts_long_names() -> None:
    entries = [InFlight(float(number), "PROPPATCHANDMORE", "/" + "x" * 500) for number in range(1, IN_FLIGHT_MAX + 9)]
    told = unpack_in_flight(in_record(entries))
    assert [entry.started_at for entry in told] == [entry.started_at for entry in entries[:IN_FLIGHT_MAX]]
    assert told[0] == InFlight(1.0, "PROPPATCHAND", "/" + "x" * 171)


def test_a_path_cut_inside_a_character_is_still_told() -> None:
    (told,) = unpack_in_flight(in_record([InFlight(1.0, "GET", "/" + "ü" * 100)]))
    assert told.path.startswith("/" + "ü" * 85)


def test_an_empty_table_tells_nothing() -> None:
    assert unpack_in_flight(in_record([])) == []
