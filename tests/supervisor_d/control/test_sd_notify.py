"""What a service manager is told of each status, and when."""

from __future__ import annotations

import pytest

from supervisor_d.control.sd_notify import (
    TEXT_MAX,
    UNTOLD,
    Notice,
    Phase,
    announcement,
    difference,
    kind_of,
    newest,
    notice_of,
    phase_of,
)
from supervisor_d.vocabulary import Generation, Instant, Origin
from supervisor_d.vocabulary.status import DaemonState, LastReload, ReloadStatus, SlotState, Status
from tests.helpers.views import a_slot

NOW = Instant(12.5)


def a_status(state: DaemonState, ready: int = 2, reason: str = "", **more: object) -> Status:
    slots = (a_slot(1), a_slot(2), a_slot(3, SlotState.BACKOFF, pid=None))
    base = {"generation": Generation(1), "target": 2, "slots": slots, "last_reload": None, "reload": None}
    return Status(state=state, ready=ready, reason=reason, **{**base, **more})  # type: ignore[arg-type]  # by name


@pytest.mark.parametrize("before", Phase)
@pytest.mark.parametrize("state", DaemonState)
@pytest.mark.parametrize("ready", [0, 2])
def test_ready_is_said_when_enough_are_ready_and_never_taken_back(
    before: Phase, state: DaemonState, ready: int
) -> None:
    phase = phase_of(a_status(state, ready), before)
    if state is DaemonState.DRAINING:
        assert phase is Phase.STOPPING
    elif before is Phase.STARTING:
        enough = state in (DaemonState.SERVING, DaemonState.DEGRADED) and ready > 0
        assert phase is (Phase.READY if enough else Phase.STARTING)
    else:
        assert phase is (Phase.RELOADING if state is DaemonState.RELOADING else Phase.READY)


def test_some_of_the_workers_are_not_enough_while_the_others_may_still_come() -> None:
    assert notice_of(a_status(DaemonState.STARTING, ready=1), UNTOLD).phase is Phase.STARTING


@pytest.mark.parametrize(
    ("status", "text"),
    [
        (a_status(DaemonState.STARTING, 0), "starting: 0 of 2 workers ready, generation 1"),
        (a_status(DaemonState.DEGRADED, 1, "slot 2: no"), "degraded: 1 of 2 workers ready, generation 1; slot 2: no"),
        (a_status(DaemonState.DRAINING, 0, "done within 3.1 s"), "stopping: 2 workers have not ended yet"),
        (
            a_status(DaemonState.RELOADING, reload=ReloadStatus("rolling", Generation(2), 1, 2, Instant(1.0))),
            "reloading: rolling, 1 of 2 replaced by generation 2; 2 of 2 workers ready",
        ),
        (
            a_status(
                DaemonState.SERVING,
                last_reload=LastReload("rolled_back", "no canary", Generation(2), 1.0, Origin("signal", "SIGHUP")),
            ),
            "serving: 2 of 2 workers ready, generation 1; generation 2 was rolled back: no canary",
        ),
        (
            a_status(
                DaemonState.SERVING,
                last_reload=LastReload("committed", "", Generation(1), 1.0, Origin("signal", "SIGHUP")),
            ),
            "serving: 2 of 2 workers ready, generation 1",
        ),
    ],
)
def test_the_text_says_how_it_is(status: Status, text: str) -> None:
    assert notice_of(status, UNTOLD).text == text


def test_a_reason_can_not_smuggle_a_second_message_in_and_stays_short() -> None:
    text = notice_of(a_status(DaemonState.DEGRADED, reason="a\nMAINPID=1\r\x1b[31m" + "x" * 999), UNTOLD).text
    assert "\n" not in text
    assert "a MAINPID=1 [31mxxx" in text
    assert len(text) == TEXT_MAX


def test_a_worker_that_serves_keeps_the_watchdog_fed() -> None:
    assert notice_of(a_status(DaemonState.SERVING, ready=1), UNTOLD).is_alive
    assert not notice_of(a_status(DaemonState.DEGRADED, ready=0), UNTOLD).is_alive


def test_only_what_is_new_is_told() -> None:
    ready = Notice(Phase.READY, "serving", is_alive=True)
    assert difference(UNTOLD, ready, NOW) == ["READY=1", "STATUS=serving"]
    assert difference(ready, ready, NOW) == []
    assert difference(ready, Notice(Phase.READY, "degraded", is_alive=False), NOW) == ["STATUS=degraded"]


def test_a_reload_is_announced_with_its_moment() -> None:
    assert announcement(Phase.RELOADING, NOW) == "RELOADING=1\nMONOTONIC_USEC=12500000"
    assert announcement(Phase.STOPPING, NOW) == "STOPPING=1"
    with pytest.raises(ValueError, match="nothing goes back"):
        announcement(Phase.STARTING, NOW)


def test_every_phase_but_ready_takes_time() -> None:
    assert {phase for phase in Phase if not Notice(phase, "", is_alive=True).takes_time} == {Phase.READY}


def test_of_lines_that_wait_the_newest_of_each_kind_is_left() -> None:
    waiting = ["READY=1", "STATUS=a", announcement(Phase.RELOADING, NOW), "WATCHDOG=1", "STATUS=b", "READY=1"]
    assert newest(waiting) == ["WATCHDOG=1", "STATUS=b", "READY=1"]
    assert kind_of(announcement(Phase.RELOADING, NOW)) == "phase"
