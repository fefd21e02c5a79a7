"""The exposition text: well-formed, complete, and with counters that never fall."""

from __future__ import annotations

import re
import shutil
import subprocess
from dataclasses import replace

import pytest

from server_core.contract.figures import Figures, add_sums
from supervisor_d.control.metrics import EVENT_COUNTERS, RELOAD_OUTCOMES, exposition
from supervisor_d.log import EVENTS
from supervisor_d.vocabulary import Slot
from tests.helpers.views import a_slot, a_view

NAME = r"supervisor_d_[a-z_]+"
LABELS = r'\{[a-z_]+="(?:[^"\\\n]|\\[\\n"])*"(?:,[a-z_]+="(?:[^"\\\n]|\\[\\n"])*")*\}'
SAMPLE = re.compile(rf"({NAME})({LABELS})? (-?[0-9.e+-]+)")


def samples(text: str) -> dict[str, float]:
    """Every sample by its name and labels."""
    found = {}
    for line in text.splitlines():
        if not line.startswith("#"):
            match = SAMPLE.fullmatch(line)
            assert match is not None, line
            found[match[1] + (match[2] or "")] = float(match[3])
    return found


def test_every_sample_belongs_to_a_family_that_was_announced_just_before() -> None:
    text = exposition(a_view())
    announced: dict[str, str] = {}
    family = ""
    for line in text.splitlines():
        if line.startswith("# TYPE "):
            _, _, family, kind = line.split(" ")
            assert family not in announced
            announced[family] = kind
        elif not line.startswith("#"):
            name = re.split("[{ ]", line)[0]
            assert name in (family, f"{family}_bucket", f"{family}_sum", f"{family}_count"), line
    assert text.endswith("\n")
    assert all(name.endswith("_total") == (kind == "counter") for name, kind in announced.items())
    assert text.count("# HELP ") == len(announced)


def test_the_daemon_and_its_workers_are_told() -> None:
    told = samples(exposition(a_view()))
    assert told["supervisor_d_up"] == 1
    assert told["supervisor_d_target_workers"] == 2
    assert told["supervisor_d_ready_workers"] == 1
    assert told["supervisor_d_accepts_traffic"] == 1
    assert told["supervisor_d_uptime_seconds"] == 900
    assert told['supervisor_d_info{name="api",version="1.2.3",app="main:app"}'] == 1
    assert told['supervisor_d_state{state="reloading"}'] == 1
    assert told['supervisor_d_state{state="serving"}'] == 0
    assert told['supervisor_d_workers{state="ready"}'] == 1
    assert told['supervisor_d_workers{state="backoff"}'] == 1
    assert told['supervisor_d_workers{state="killing"}'] == 0
    assert told['supervisor_d_in_flight_requests{slot="1"}'] == 2
    assert told['supervisor_d_connections{slot="1"}'] == 5
    assert told['supervisor_d_rss_bytes{slot="1"}'] == 48_000_000
    assert told['supervisor_d_beat_age_seconds{slot="1"}'] == 0.5
    assert told['supervisor_d_worker_restarts{slot="2"}'] == 4


def test_a_slot_without_a_process_has_no_figures_of_one() -> None:
    told = samples(exposition(a_view()))
    assert 'supervisor_d_connections{slot="2"}' not in told
    assert 'supervisor_d_beat_age_seconds{slot="3"}' not in told  # it lives, but has not beaten yet


def test_requests_are_those_of_living_and_former_workers() -> None:
    told = samples(exposition(a_view()))
    assert told["supervisor_d_requests_total"] == 1030
    assert told['supervisor_d_responses_total{class="2xx"}'] == 1017
    assert told['supervisor_d_responses_total{class="5xx"}'] == 11
    assert told['supervisor_d_responses_total{class="3xx"}'] == 0
    assert told["supervisor_d_overloads_total"] == 5
    assert told["supervisor_d_evictions_total"] == 7
    assert told["supervisor_d_dropped_fields_total"] == 9


def test_the_histogram_is_cumulative_and_its_last_bucket_is_its_count() -> None:
    told = samples(exposition(a_view()))
    assert told['supervisor_d_request_duration_seconds_bucket{le="0.001"}'] == 920
    assert told['supervisor_d_request_duration_seconds_bucket{le="0.0025"}'] == 928
    assert told['supervisor_d_request_duration_seconds_bucket{le="10"}'] == 1028
    assert told['supervisor_d_request_duration_seconds_bucket{le="+Inf"}'] == 1028
    assert told["supervisor_d_request_duration_seconds_count"] == 1028
    assert told["supervisor_d_request_duration_seconds_sum"] == 2.75


def test_no_counter_falls_when_a_worker_is_replaced() -> None:
    """The daemon moves a gone worker's figures to `retired`; a fresh record takes its place."""
    before = a_view()
    gone = before.figures[Slot(1)]
    retired = add_sums(before.retired, gone)
    after = replace(before, retired=retired, figures={Slot(1): Figures(pid=999)})
    old, new = samples(exposition(before)), samples(exposition(after))
    counters = [name for name in old if "_total" in name or "_bucket" in name or name.endswith(("_count", "_sum"))]
    assert len(counters) > 20
    assert all(new[name] >= old[name] for name in counters)


def test_counters_of_events_name_declared_events_and_count_them() -> None:
    assert {event for event, _ in EVENT_COUNTERS.values()} | set(RELOAD_OUTCOMES.values()) <= set(EVENTS)
    told = samples(exposition(a_view()))
    assert told["supervisor_d_worker_crashes_total"] == 3
    assert told['supervisor_d_reloads_total{outcome="committed"}'] == 6
    assert told['supervisor_d_reloads_total{outcome="rolled_back"}'] == 0


def test_a_label_cannot_break_out_of_its_quotes() -> None:
    told = exposition(a_view(name='a"b\\c\nd'))
    assert 'name="a\\"b\\\\c\\nd"' in told
    samples(told)


def test_without_any_worker_the_families_of_workers_are_left_out() -> None:
    view = a_view()
    told = exposition(replace(view, status=replace(view.status, slots=())))
    assert "supervisor_d_connections" not in told
    assert "supervisor_d_up 1" in told


def test_a_worker_that_has_not_written_yet_counts_nothing() -> None:
    view = a_view(figures={Slot(1): Figures()})
    view = replace(view, status=replace(view.status, slots=(a_slot(1),)))
    assert samples(exposition(view))['supervisor_d_connections{slot="1"}'] == 0


def test_prometheus_own_checker_has_nothing_to_say_but_of_the_name() -> None:
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("promtool is not installed")
    told = subprocess.run(
        [promtool, "check", "metrics"], input=exposition(a_view()), capture_output=True, text=True, check=False
    )
    # It takes the d of supervisor_d for a unit, in every name alike.
    ours = [line for line in told.stderr.splitlines() if not line.endswith("should not contain abbreviated units")]
    assert (ours, told.stdout) == ([], "")
    assert told.returncode in (0, 3), "3: there were complaints"
