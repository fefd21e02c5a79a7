"""The objects of the control API, as the documentation promises them."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

from server_core.contract.figures import Figures
from supervisor_d.control.reference import PAGE
from supervisor_d.control.snapshot import (
    Capacity,
    Forking,
    capacity_object,
    config_object,
    readiness_object,
    slot_object,
    status_object,
    workers_object,
)
from supervisor_d.vocabulary import Instant, Pid, Slot
from supervisor_d.vocabulary.status import DaemonState, SizingStatus
from tests.helpers.views import NOW, a_slot, a_view

ROOT = Path(__file__).parents[3]

PROMISED = {"name", "version", "pid", "state", "generation", "uptime_s", "app", "workers", "listeners", "slots"} | {
    "last_reload"
}
PROMISED_OF_A_SLOT = {
    *("slot", "pid", "generation", "state", "age_s", "beat_age_s", "requests_total", "in_flight", "connections"),
    *("rss_bytes", "restarts", "last_exit"),
}


def test_the_status_object_holds_every_promised_field_and_is_json() -> None:
    told = json.loads(json.dumps(status_object(a_view())))
    assert set(told) >= PROMISED
    assert all(set(slot) >= PROMISED_OF_A_SLOT for slot in told["slots"])
    assert (told["state"], told["uptime_s"], told["time"]) == ("reloading", 900.0, "2026-01-01T00:00:00.000Z")
    assert told["workers"] == {"target": 2, "ready": 1}
    assert told["listeners"] == [{"address": "127.0.0.1:8000", "fd": 5}]
    assert told["reload"] == {"phase": "rolling", "generation": 4, "replaced": 1, "target": 2, "duration_s": 3.0}
    assert told["last_reload"] == {
        "outcome": "rolled_back",
        "reason": "no",
        "generation": 3,
        "duration_s": 2.25,
        "origin": {"by": "control", "how": "reload", "pid": 7, "uid": 0},
    }


def keys_of(told: object) -> set[str]:
    """Every key in an object and in what it holds."""
    if isinstance(told, dict):
        return set(told).union(*(keys_of(value) for value in told.values()))
    return set().union(*(keys_of(value) for value in told)) if isinstance(told, list) else set()


def test_the_page_names_every_field_of_the_status_object() -> None:
    forking = Forking(2, Pid(88), None, lambda: 41 * 1024**2)
    told = json.loads(json.dumps(status_object(a_view(template=forking, preload=forking))))
    page = (ROOT / PAGE).read_text("utf-8").split("`/v1/status`:")[1]
    shown = set(re.findall(r'"([a-z_]+)"', page.split("\n - ")[0]))
    assert keys_of(told) == shown


def test_without_a_reload_both_are_null() -> None:
    view = a_view()
    told = status_object(replace(view, status=replace(view.status, reload=None, last_reload=None)))
    assert (told["reload"], told["last_reload"]) == (None, None)


def test_a_serving_slot_tells_its_process_s_figures() -> None:
    told = slot_object(a_view(), a_slot(1))
    assert (told["age_s"], told["beat_age_s"], told["requests_total"], told["in_flight"]) == (60.0, 0.5, 30, 2)
    assert (told["connections"], told["rss_bytes"], told["last_exit"], told["retry_in_s"]) == (
        5,
        48_000_000,
        None,
        None,
    )


def test_a_slot_without_a_process_has_null_where_nothing_is_known() -> None:
    view = a_view()
    told = slot_object(view, view.status.slots[1])
    assert (told["pid"], told["age_s"], told["beat_age_s"], told["rss_bytes"]) == (None, None, None, None)
    assert (told["retry_in_s"], told["restarts"]) == (1.5, 4)
    assert told["last_exit"] == {
        "cause": "crashed",
        "exit_code": None,
        "signal": "SIGKILL",
        "at": "2025-12-31T23:58:00.000Z",
        "reason": "killed by SIGKILL",
    }


def test_figures_of_the_process_before_are_not_taken_for_the_present_one_s() -> None:
    stale = a_view(figures={Slot(1): Figures(pid=5, requests_total=99, loop_beat_at=1.0)})
    told = slot_object(stale, a_slot(1))
    assert (told["requests_total"], told["beat_age_s"]) == (0, None)


def test_a_beat_just_after_the_view_was_taken_is_not_in_the_future() -> None:
    view = a_view(figures={Slot(1): Figures(pid=101, loop_beat_at=NOW + 0.01)})
    assert slot_object(view, a_slot(1))["beat_age_s"] == 0.0


def test_the_workers_object_is_the_status_object_s_part() -> None:
    view = a_view()
    assert workers_object(view)["slots"] == status_object(view)["slots"]


def test_readiness_ends_with_the_last_worker_and_with_a_stop() -> None:
    view = a_view()
    assert readiness_object(view)["ready"] is True
    assert readiness_object(replace(view, status=replace(view.status, ready=0)))["ready"] is False
    draining = replace(view.status, state=DaemonState.DRAINING)
    assert readiness_object(replace(view, status=draining))["ready"] is False


def test_settings_keep_their_order_and_their_source() -> None:
    assert config_object(a_view()) == {"settings": [{"name": "workers", "value": "2", "source": "flag --workers"}]}


def test_instants_are_the_same_moment_on_both_clocks() -> None:
    view = a_view(now=Instant(2000.0), wall=1_767_226_600.0)
    last_exit = slot_object(view, view.status.slots[1])["last_exit"]
    assert isinstance(last_exit, dict)
    assert last_exit["at"] == "2025-12-31T23:58:00.000Z"


def test_capacity_tells_the_reasons_and_how_many_more_workers_memory_has_room_for() -> None:
    memory = {"limit_bytes": 500_000_000, "used_bytes": 200_000_000, "spare_bytes": 250_000_000}
    told = capacity_object(a_view(capacity=Capacity(2, ("2 by affinity",), memory)))
    assert (told["cpus"], told["reasons"], told["memory"]) == (2, ["2 by affinity"], memory)
    assert (told["largest_worker_bytes"], told["room_for_more"]) == (48_000_000, 5)
    assert (told["setting"], told["source"]) == ("2", "flag --workers")


def test_what_memory_says_to_auto_is_one_of_the_reasons() -> None:
    status = replace(a_view().status, sizing=SizingStatus(1, "1 by memory: so it is"))
    told = capacity_object(a_view(status=status, capacity=Capacity(2, ("2 by affinity",))))
    assert (told["auto"], told["reasons"]) == (1, ["2 by affinity", "1 by memory: so it is"])
    assert capacity_object(a_view(capacity=Capacity(2)))["auto"] == 2


def test_without_a_limit_or_without_a_worker_there_is_no_telling_what_fits() -> None:
    assert capacity_object(a_view())["room_for_more"] is None
    memory = {"limit_bytes": 5, "used_bytes": 2, "spare_bytes": 2}
    assert capacity_object(a_view(capacity=Capacity(memory=memory), rss_bytes={}))["room_for_more"] is None
