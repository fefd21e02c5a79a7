"""Notices reach the manager's socket; the watchdog is fed, timeouts are extended, and nothing blocks."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from supervisor_d import clock
from supervisor_d.control.sd_notify import Notice, Phase
from supervisor_d.host.reactor import Reactor
from supervisor_d.host.system import systemd
from supervisor_d.host.system.systemd import Notifier, open_notifier
from supervisor_d.vocabulary import Instant
from tests.helpers.logs import Remembered
from tests.helpers.manager import DEADLINE_S, Manager

STARTING = Notice(Phase.STARTING, "starting", is_alive=False)
SERVING = Notice(Phase.READY, "serving", is_alive=True)
HELPLESS = Notice(Phase.READY, "degraded", is_alive=False)
STOPPING = Notice(Phase.STOPPING, "stopping", is_alive=False)
EXTENSION = "EXTEND_TIMEOUT_USEC=10000000"


class Told:
    """A notifier on a real loop, its log, and what it told."""

    def __init__(self, manager: Manager) -> None:
        self.manager = manager
        self.reactor = Reactor()
        self.log = Remembered()

    def open(self, **environ: str) -> Notifier:
        notifier = open_notifier(self.reactor, self.log, {**self.manager.environ(), **environ})
        assert notifier is not None
        self.notifier = notifier
        return notifier

    def turn_until(self, claim: Callable[[], bool]) -> None:
        """Let the loop's own deadlines come until the claim holds."""
        give_up_at = Instant(clock.now() + DEADLINE_S)
        while not claim():
            assert clock.now() < give_up_at, f"told: {self.manager.lines}"
            self.reactor.wait(Instant(min(give_up_at, clock.now() + 0.01)))

    def close(self) -> None:
        self.notifier.close()
        self.reactor.close()
        self.manager.close()


@pytest.fixture(params=["path", "abstract"])
def told(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Told]:
    place = str(tmp_path / "notify") if request.param == "path" else f"@supervisor-d-notify-{os.getpid()}"
    made = Told(Manager(place))
    yield made
    made.close()


def test_without_a_manager_there_is_no_notifier() -> None:
    log = Remembered()
    assert open_notifier(Reactor(), log, {}) is None
    assert open_notifier(Reactor(), log, {"NOTIFY_SOCKET": ""}) is None
    assert log.events == []


@pytest.mark.parametrize("place", ["vsock:2:1234", "/", "notify"])
def test_a_socket_that_is_neither_a_path_nor_a_name_is_done_without_and_said(place: str) -> None:
    log = Remembered()
    assert open_notifier(Reactor(), log, {"NOTIFY_SOCKET": place}) is None
    (event,) = log.named("master.degraded")
    assert repr(place) in str(event["reason"])


def test_it_tells_what_is_new_in_one_datagram_each(told: Told) -> None:
    notifier = told.open()
    for notice in (STARTING, SERVING, SERVING, STOPPING):
        notifier.show(notice)
    told.manager.read()
    assert told.manager.datagrams == [
        [EXTENSION],
        ["STATUS=starting"],
        ["READY=1", "STATUS=serving"],
        ["STOPPING=1", "STATUS=stopping", EXTENSION],
    ]


def test_timeouts_are_extended_as_long_as_something_takes_time(told: Told, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(systemd, "EXTENSION_S", 0.04)
    notifier = told.open()
    told.turn_until(
        lambda: told.manager.read() is not None and told.manager.lines.count("EXTEND_TIMEOUT_USEC=40000") > 2
    )
    notifier.show(SERVING)
    told.manager.read()
    at = clock.now()
    told.turn_until(lambda: clock.now() > at + 0.1)
    assert told.manager.read() == [], "a service that runs has no timeout to extend"


def test_the_watchdog_is_fed_every_half_interval_while_a_worker_serves(told: Told) -> None:
    notifier = told.open(WATCHDOG_USEC="100000", WATCHDOG_PID=str(os.getpid()))
    notifier.show(SERVING)
    started_at = time.monotonic()
    told.turn_until(lambda: told.manager.read() is not None and told.manager.lines.count("WATCHDOG=1") >= 3)
    assert time.monotonic() - started_at >= 0.15


def test_the_watchdog_is_not_fed_while_no_worker_serves_and_at_once_when_one_does(told: Told) -> None:
    notifier = told.open(WATCHDOG_USEC="20000")
    notifier.show(HELPLESS)
    at = clock.now()
    told.turn_until(lambda: clock.now() > at + 0.1)
    assert "WATCHDOG=1" not in told.manager.read()
    notifier.show(SERVING)
    assert "WATCHDOG=1" in told.manager.read()


@pytest.mark.parametrize(
    ("environ", "reason"),
    [
        ({}, None),
        ({"WATCHDOG_USEC": "100", "WATCHDOG_PID": "1"}, None),
        ({"WATCHDOG_USEC": "soon"}, "WATCHDOG_USEC: must be microseconds, not 'soon'"),
        ({"WATCHDOG_USEC": "0"}, "WATCHDOG_USEC: must be microseconds, not '0'"),
    ],
)
def test_a_watchdog_that_is_not_ours_or_makes_no_sense_is_not_fed(environ: dict[str, str], reason: str | None) -> None:
    log = Remembered()
    assert systemd.watchdog_s(environ, log) is None
    assert [event["reason"] for event in log.named("master.degraded")] == ([reason] if reason else [])


def test_what_finds_the_queue_full_is_sent_later_and_only_as_far_as_it_still_holds(told: Told) -> None:
    notifier = told.open()
    notifier.show(STARTING)
    sent = 0
    while not notifier._unsent:  # the queue's length is the system's
        sent += 1
        assert sent < 100_000
        notifier.show(Notice(Phase.STARTING, str(sent), is_alive=False))
    notifier.show(Notice(Phase.READY, "once", is_alive=True))
    notifier.show(SERVING)
    assert notifier._unsent == ["READY=1", "STATUS=serving"]
    told.manager.read()
    told.turn_until(lambda: told.manager.read() is not None and "READY=1" in told.manager.lines)
    assert told.manager.lines[-2:] == ["READY=1", "STATUS=serving"]


def test_a_manager_that_is_gone_is_said_once_and_disturbs_nothing(told: Told) -> None:
    notifier = told.open()
    told.manager.close()
    notifier.show(SERVING)
    notifier.show(STOPPING)
    notifier.last_words("done")
    (event,) = told.log.named("master.degraded")
    assert str(event["reason"]).startswith("ECONNREFUSED")


def test_last_words_wait_until_they_are_read_but_not_for_ever(told: Told, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(systemd, "BARRIER_S", 0.05)
    notifier = told.open()
    started_at = time.monotonic()
    notifier.last_words("the end\nREADY=1")
    assert time.monotonic() - started_at >= 0.05, "nobody reads"
    assert told.manager.read()[-2:] == ["STATUS=the end READY=1", "BARRIER=1"]


def test_last_words_end_with_the_managers_answer(tmp_path: Path) -> None:
    told = Told(Manager.at(tmp_path))
    notifier = told.open()
    reader = threading.Thread(target=told.manager.expect, args=["BARRIER=1"])
    reader.start()
    started_at = time.monotonic()
    notifier.last_words("the end")
    waited_s = time.monotonic() - started_at
    reader.join(DEADLINE_S)
    assert waited_s < systemd.BARRIER_S
    told.close()
