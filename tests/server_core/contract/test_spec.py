"""What crosses the process boundary comes out as it went in, whoever is on the other side."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server_core.contract.figures import (
    FIGURES,
    LATENCY_BOUNDS_S,
    LOOP_BEAT_OFFSET,
    THREAD_BEAT_OFFSET,
    Figures,
    pack_figures,
    unpack_figures,
)
from server_core.contract.spec import (
    CLEAN_UP_S,
    GIVE_UP_S,
    IN_FLIGHT_MAX,
    IN_FLIGHT_OFFSET,
    RECORD_BYTES,
    TERMINATE_GRACE_S,
    InFlight,
    ListenerSpec,
    Message,
    Template,
    WorkerSpec,
    decode,
    encode,
    pack_in_flight,
    unpack_in_flight,
)
from server_core.settings.declaration import ServerSettings

SPEC = WorkerSpec(
    slot=3,
    generation=2,
    name="shop",
    listeners=(ListenerSpec(5, "127.0.0.1:8000"), ListenerSpec(6, "unix:/run/shop.sock")),
    record_fd=7,
    loads_fd=8,
    beat_s=0.5,
    watch_s=7.5,
    settings=ServerSettings(app="main:app", keep_alive=1.5, health_path="/ü"),
    template=Template.SERVER,
    tls_fds=(9, 10),
)


def test_a_spec_crosses_the_pipe_unchanged() -> None:
    message = decode(SPEC.as_message())
    assert message.verb == "spec"
    assert WorkerSpec.from_fields(message.fields) == SPEC


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"listeners": [], "settings": {}},
        {"listeners": {}, "settings": {}},
        {"listeners": [{"fd": 1}], "settings": {}},
        {"listeners": [], "settings": {"unknown": 1}},
        {**decode(SPEC.as_message()).fields, "tempo": 1},
        {**decode(SPEC.as_message()).fields, "template": "of doom"},
        {**decode(SPEC.as_message()).fields, "tls_fds": 9},
    ],
)
def test_a_spec_that_differs_from_what_is_declared_is_refused(fields: dict[str, object]) -> None:
    with pytest.raises((TypeError, KeyError, ValueError)):
        WorkerSpec.from_fields(fields)


@given(st.text(), st.integers(), st.booleans())
def test_any_fields_cross_the_pipe_in_one_line(text: str, number: int, truth: bool) -> None:
    fields = {"text": text, "number": number, "truth": truth, "none": None}
    line = encode("failed", fields)
    assert line.count(b"\n") == 1
    assert decode(line) == Message("failed", fields)


def test_a_verb_alone_has_no_fields() -> None:
    assert encode("ready") == b"ready\n"
    assert decode(b"ready") == Message("ready", {})


@pytest.mark.parametrize("line", [b"", b"\n", b" {}\n", b"failed {\n", b"failed []\n", b"failed 1\n", b"\xff\n"])
def test_what_is_no_message_is_refused(line: bytes) -> None:
    with pytest.raises(ValueError, match=r".+"):
        decode(line)


@given(st.integers(0, 2**62), st.floats(0, 1e12), st.lists(st.integers(0, 2**62), min_size=14, max_size=14))
def test_figures_are_read_as_they_were_packed(number: int, instant: float, latency: list[int]) -> None:
    figures = Figures(
        pid=number,
        loop_beat_at=instant,
        thread_beat_at=instant + 1,
        responses=(0, 0, 0, 0, number),
        latency=tuple(latency),
    )
    assert unpack_figures(pack_figures(figures)) == figures


def test_the_two_beats_are_where_the_offsets_say() -> None:
    packed = pack_figures(Figures(loop_beat_at=math.pi, thread_beat_at=math.e))
    assert packed[LOOP_BEAT_OFFSET:].startswith(pack_figures(Figures(loop_beat_at=math.pi))[LOOP_BEAT_OFFSET:][:8])
    assert packed[THREAD_BEAT_OFFSET:].startswith(pack_figures(Figures(thread_beat_at=math.e))[THREAD_BEAT_OFFSET:][:8])
    assert len(Figures().latency) == len(LATENCY_BOUNDS_S) + 1


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


def test_what_a_worker_still_does_after_sigterm_fits_into_its_grace() -> None:
    assert CLEAN_UP_S + GIVE_UP_S < TERMINATE_GRACE_S
