"""What ctl prints, from the very objects that the daemon sends."""

from __future__ import annotations

from dataclasses import replace

import pytest

from supervisor_d.control.display import incident_text, render
from supervisor_d.control.display.terminal import COLOURS, WIDTH
from supervisor_d.control.snapshot import Capacity, Forking, capacity_object, config_object, status_object
from supervisor_d.vocabulary import Pid
from supervisor_d.vocabulary.status import DaemonState, SlotState
from tests.helpers.views import a_slot, a_view

STACKS = """\
Thread 0x00007f01 (most recent call first):
  File "/usr/lib/python3.11/threading.py", line 324 in wait
  File "/usr/lib/python3.11/threading.py", line 622 in wait

Current thread 0x00007f02 (most recent call first):
  File "/app/main.py", line 12 in slow
  File "/app/server.py", line 90 in run
"""
INCIDENT = {
    "id": 3,
    "at": "2026-01-01T00:00:00Z",
    "slot": 1,
    "pid": 101,
    "generation": 2,
    "kind": "loop_blocked",
    "silent_s": 3.2,
    "in_flight": [{"method": "GET", "path": "/slow\x1b[2J", "age_s": 3.4}],
    "stacks": STACKS,
}


@pytest.mark.parametrize(
    ("forking", "line"),
    [
        (
            Forking(2, Pid(88), None, lambda: 41 * 1024**2),
            "workers are forked from pid 88, which saves 41.0M of memory",
        ),
        (
            Forking(2, Pid(88), None, lambda: -8 * 1024**2),
            "workers are forked from pid 88, which costs 8.0M of memory until more of them are",
        ),
        (Forking(2, Pid(88), None), "workers are forked from pid 88, which saves an unknown amount of memory"),
        (Forking(2, None, None), "importing the {imported}"),
        (Forking(2, None, None, lambda: 28 * 1024**2), "workers were forked, which saves 28.0M of memory"),
        (Forking(2, None, "thread 'poller'"), "not forked: thread 'poller'"),
    ],
)
def test_the_status_says_where_forked_workers_come_from(forking: Forking, line: str) -> None:
    shown = unwrapped(render.status(status_object(a_view(preload=forking))))
    assert f"  preload    {line.format(imported='application')}\n" in shown
    shown = unwrapped(render.status(status_object(a_view(template=forking))))
    assert f"  template   {line.format(imported='server')}\n" in shown


def unwrapped(shown: str) -> str:
    """With each line whole that was too long for a terminal."""
    return shown.replace("\n" + " " * render.LABELLED, " ")


def test_the_status_is_a_few_lines_and_a_table_within_the_width() -> None:
    assert render.status(status_object(a_view())).splitlines() == [
        "api: reloading, generation 2, 1 of 2 workers ready, up 15m00s",
        "  daemon     pid 77, supervisor-d 1.2.3",
        "  app        main:app",
        "  user       www (uid 33)",
        "  listening  127.0.0.1:8000 (fd 5)",
        "  reload     rolling, generation 4, 1 of 2 replaced, 3.0s so far",
        "  reloaded   generation 3 rolled back in 2.2s (reload by control, uid 0, pid 7):",
        "             no",
        "",
        "SLOT  IDX  PID  GEN  STATE       AGE  BEAT  REQS  BUSY  CONN    RSS  RESTART",
        "   1    0  101    2  ready     1m00s  0.5s    30     2     5  45.8M        0",
        "   2    0    -    2  backoff       -     -     0     0     0      -        4",
        "   3    0  103    2  draining  1m00s     -     0     0     0      -        0",
        "slot 2: could not boot: ImportError; next try in 1.5s",
        "slot 2: its last process crashed (SIGKILL) 2m ago",
    ]


def test_the_status_says_why_it_is_degraded() -> None:
    view = a_view()
    status = replace(view.status, state=DaemonState.DEGRADED, reason="slot 2 cannot boot", reload=None)
    assert "  reason     slot 2 cannot boot" in render.status(status_object(replace(view, status=status)))


def test_every_state_has_a_colour() -> None:
    words = {state.value for state in DaemonState} | {state.value for state in SlotState if state.value != "empty"}
    assert words <= set(COLOURS)


def test_colour_comes_only_when_it_is_asked_for() -> None:
    told = status_object(a_view())
    assert "\x1b" not in render.status(told)
    assert "\x1b[32mready\x1b[0m" in render.status(told, colour=True)


def test_a_crowded_table_still_fits() -> None:
    view = a_view()
    crowd = tuple(replace(a_slot(1000), restarts=12345, last_exit=view.status.slots[1].last_exit) for _ in range(3))
    told = status_object(replace(view, status=replace(view.status, slots=crowd, reason="a word " * 30)))
    for row in told["slots"]:  # type: ignore[attr-defined]  # a list of objects
        row.update(pid=4194304, generation=123, state="terminating", age_s=400_000, beat_age_s=100, connections=10_000)
        row.update(requests_total=12_345_678, rss_bytes=500 * 1024**2, reason="a word " * 30)
    lines = render.status(told).splitlines()
    assert max(map(len, lines)) <= WIDTH == 80
    assert sum("4194304  " not in line and "4194304" in line for line in lines) == 3, "gaps give way, no number is cut"
    assert sum("12345678" in line for line in lines) == 3


def test_no_workers_are_said() -> None:
    assert render.workers({"slots": []}) == "no workers"


def test_settings_are_never_cut() -> None:
    told = config_object(a_view())
    rows = told["settings"]
    assert isinstance(rows, list)
    rows.append({"name": "bind", "value": "x" * 150, "source": "file /etc/x.toml: bind"})
    assert f"bind     {'x' * 150}  file /etc/x.toml: bind" in render.config(told)


def test_an_incident_says_where_the_loop_stood_and_which_requests_waited() -> None:
    lines = incident_text.incidents({"incidents": [INCIDENT]}).splitlines()
    assert lines[:6] == [
        "incident 3: loop_blocked, silent for 3.2s",
        "  worker     slot 1, pid 101, generation 2",
        "  at         2026-01-01T00:00:00Z",
        '  where      File "/app/main.py", line 12 in slow',
        "  requests   1 in flight",
        "             GET /slow\\x1b[2J for 3.4s",
    ]
    assert '      File "/usr/lib/python3.11/threading.py", line 324 in wait' in lines


def test_a_dump_that_was_asked_for_tells_of_no_silence() -> None:
    assert incident_text.incident({**INCIDENT, "kind": "dump", "silent_s": 0.0}).startswith("incident 3: dump\n")
    stuck = incident_text.incident({**INCIDENT, "kind": "thread_stuck", "reason": "2 of 2 threads busy\x1b"})
    assert "  reason     2 of 2 threads busy\\x1b\n" in stuck


def test_an_incident_without_stacks_says_so() -> None:
    assert "no stacks" in incident_text.incident({**INCIDENT, "stacks": "", "in_flight": []})
    assert incident_text.incidents({"incidents": []}) == "no incidents"


def test_an_event_is_one_line_and_its_traceback_stands_below() -> None:
    told = {
        "timestamp": "2026-01-01T00:00:00Z",
        "event": "worker.boot_failed",
        "level": "error",
        "slot": 1,
        "reason": "two words",
        "exit_code": None,
        "traceback": "Traceback:\n  boom\x1b\n",
    }
    assert render.events({"events": [told]}).splitlines() == [
        "2026-01-01T00:00:00Z worker.boot_failed     slot=1 reason='two words'",
        "    Traceback:",
        "      boom\\x1b",
    ]
    assert "\x1b[31mworker.boot_failed\x1b[0m" in render.event(told, colour=True)


def test_progress_is_one_line_whatever_it_holds() -> None:
    known = {"phase": "rolling", "generation": 2, "replaced": 1, "target": 4, "ready": 4}
    assert render.progress(known) == "rolling: generation 2, 1 of 4 replaced, 4 ready"
    del known["ready"]  # an older daemon does not tell it
    assert render.progress(known) == "rolling: generation 2, 1 of 4 replaced"
    assert render.progress({**known, "phase": "rolling_back"}).startswith("rolling back: generation 2")
    assert render.progress({"phase": "canary"}) == "phase=canary"


def test_a_restart_is_told_by_its_outcome_or_by_the_state_it_led_to() -> None:
    assert render.restarted({"outcome": "replaced", "slot": 1, "reason": "asked for: restart"}) == "replaced"
    assert render.restarted({"slot": 1, "state": "spawning"}) == "back-off cut short, spawning"


def test_a_verdict_tells_outcome_and_reason() -> None:
    told = {"outcome": "rolled_back", "generation": 3, "duration_s": 1.5, "reason": "boot failed", "status": 500}
    assert render.verdict(told) == "generation 3 rolled back after 1.5s: boot failed"
    assert render.verdict({"outcome": "committed"}) == "committed"
    told = {"outcome": "committed", "awaiting_restart": ["bind", "backlog"]}
    assert render.verdict(told) == "committed; changed, too, but applied by a restart alone: bind, backlog"
    assert render.verdict({"error": "not now", "status": 409}) == "not now"


def test_a_refusal_is_one_line() -> None:
    assert render.refusal({"error": "no\nway"}) == "no\\nway"
    assert render.refusal({"reason": "because"}) == "because"
    assert render.refusal({"x": 1}) == "x=1"
    assert render.refusal("plain") == "plain"


def test_capacity_is_told_as_arithmetic() -> None:
    memory = {"limit_bytes": 512 * 2**20, "used_bytes": 180 * 2**20, "spare_bytes": 280 * 2**20}
    view = a_view(capacity=Capacity(2, ("4 by affinity", "2 by the cgroup quota"), memory))
    assert render.capacity(capacity_object(view)).splitlines() == [
        "workers  2 wanted, 1 ready; the setting is 2 (flag --workers)",
        "auto     2, the least of",
        "         4 by affinity",
        "         2 by the cgroup quota",
        "memory   180M used of 512M",
        "         room for 6 more workers of 45.8M, as the largest has now",
    ]
    assert render.capacity(capacity_object(a_view())).endswith("\nmemory   not limited")


def test_a_failure_of_the_masters_own_work_shows_what_failed_and_its_traceback() -> None:
    told = {
        "id": 7,
        "kind": "master_fault",
        "pid": 5,
        "at": "now",
        "reason": "adding: KeyError",
        "stacks": "Traceback\n  x",
    }
    lines = incident_text.incidents({"incidents": [told]}).splitlines()
    assert lines[0] == "incident 7: master_fault"
    assert lines[3] == "  failed     adding: KeyError"
    assert lines[-1].strip() == "x"
