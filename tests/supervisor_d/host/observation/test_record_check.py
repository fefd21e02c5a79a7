"""Each number of a record is judged by its own rule; what cannot be true is replaced by the last that could."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server_core.contract.figures import FIGURES, ROWS, SUMS, Figures, unpack_figures
from server_core.contract.scoreboard import InFlight
from supervisor_d.host.observation.record_check import RULES, Checked, Known, check_figures, check_in_flight

LAST = Figures(
    pid=77,
    generation=3,
    loop_beat_at=90.0,
    thread_beat_at=91.0,
    loop_lag_s=0.25,
    connections=4,
    in_flight=2,
    requests_total=100,
    responses=(0, 90, 0, 0, 0),
    latency_sum_s=1.5,
    latency=(90, *[0] * 13),
)
KNOWN = Known(now=100.0, since=50.0, generation=3, last=LAST)
SOUND = LAST._replace(loop_beat_at=99.0, thread_beat_at=100.0, requests_total=101, latency=(91, *[0] * 13))

INSTANTS = ("loop_beat_at", "thread_beat_at")
COUNTED = ("requests_total", "latency_sum_s")


def test_every_figure_has_a_rule() -> None:
    assert tuple(RULES) == Figures._fields


def test_sound_figures_are_taken_as_they_are() -> None:
    assert check_figures(SOUND, KNOWN) == Checked(SOUND, None)


@pytest.mark.parametrize("name", [*INSTANTS, "loop_lag_s", "latency_sum_s"])
@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, 1e308, -1.0])
def test_a_float_that_cannot_be_true_is_refused_by_name(name: str, value: float) -> None:
    checked = check_figures(SOUND._replace(**{name: value}), KNOWN)
    assert checked.fault is not None
    assert checked.fault.startswith(f"{name}: must be ")
    assert checked.fault.endswith(f", not {value!r}")
    assert checked.figures == SOUND._replace(**{name: getattr(LAST, name)})


@pytest.mark.parametrize("name", [name for name in Figures._fields if isinstance(getattr(LAST, name), int)])
@pytest.mark.parametrize("value", [-1, 2**62, -(2**63)])
def test_an_integer_that_cannot_be_true_is_refused_by_name(name: str, value: int) -> None:
    checked = check_figures(SOUND._replace(**{name: value}), KNOWN)
    assert checked.fault is not None
    assert checked.fault.startswith(f"{name}: must be ")
    assert checked.figures == SOUND._replace(**{name: getattr(LAST, name)})


@pytest.mark.parametrize("name", INSTANTS)
def test_no_beat_is_of_the_future(name: str) -> None:
    checked = check_figures(SOUND._replace(**{name: 101.0}), KNOWN)
    assert checked.fault == f"{name}: must be an instant that is over, not 101.0"


@pytest.mark.parametrize("name", COUNTED)
def test_a_counter_never_goes_back(name: str) -> None:
    fallen = getattr(LAST, name) - 1
    checked = check_figures(SOUND._replace(**{name: fallen}), KNOWN)
    assert checked.fault is not None
    assert getattr(checked.figures, name) == getattr(LAST, name)


def test_one_bucket_that_explodes_leaves_the_others_sound() -> None:
    checked = check_figures(SOUND._replace(latency=(92, 2**61, *[1] * 12)), KNOWN)
    assert checked.figures.latency == (92, 0, *[1] * 12)
    assert checked.fault is not None
    assert checked.fault.startswith("latency[0.0025]: must be from 0 to ")


@given(st.binary(min_size=FIGURES.size, max_size=FIGURES.size))
def test_whatever_bytes_there_are_what_is_told_is_finite_and_in_order(record: bytes) -> None:
    figures = check_figures(unpack_figures(record), KNOWN).figures
    for name, value in figures._asdict().items():
        last = getattr(LAST, name)
        pairs = zip(value, last, strict=True) if isinstance(value, tuple) else [(value, last)]
        for number, before in pairs:
            assert math.isfinite(number)
            assert number >= 0
            assert ROWS[name].kind not in SUMS or number >= before
    assert max(figures.loop_beat_at, figures.thread_beat_at) <= KNOWN.now + 0.001


@pytest.mark.parametrize("started_at", [math.nan, math.inf, -1.0, 1e308, 100.5])
def test_a_request_that_cannot_have_begun_is_left_out_and_told(started_at: float) -> None:
    sound = InFlight(99.0, "GET", "/")
    entries, fault = check_in_flight([sound, InFlight(started_at, "GET", "/odd")], 100.0)
    assert entries == [sound]
    assert fault == f"request in flight: must have begun before now, not at {started_at!r}"
