"""The journal writes every event, keeps the last ones, counts all, and tells whoever listens."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from supervisor_d.host.journal.event_ring import EVENTS_KEPT, TEXTS_BYTES_MAX, EventRing, Journal, timestamp
from tests.helpers.logs import Remembered


def test_an_event_is_written_kept_counted_and_told() -> None:
    log, told = Remembered(), list[Mapping[str, object]]()
    journal = Journal(log)
    journal.ring.listeners.append(told.append)
    journal("worker.booted", slot=1, pid=2, generation=3)
    assert log.events == [("worker.booted", {"slot": 1, "pid": 2, "generation": 3})]
    (kept,) = journal.ring
    assert told == [kept]
    assert {**kept, "timestamp": ""} == {
        "seq": 1, "timestamp": "", "level": "debug", "event": "worker.booted", "slot": 1, "pid": 2, "generation": 3
    }  # fmt: skip
    assert journal.counts == {"worker.booted": 1}


def test_only_the_last_events_are_kept_but_all_are_counted() -> None:
    journal = Journal(Remembered())
    for number in range(EVENTS_KEPT + 5):
        journal("log.reopened", origin=number)
    assert len(journal.ring) == EVENTS_KEPT
    assert next(iter(journal.ring))["origin"] == 5
    assert journal.counts["log.reopened"] == EVENTS_KEPT + 5


def test_a_name_that_is_told_often_pushes_out_its_own_past_and_nothing_else() -> None:
    journal = Journal(Remembered())
    journal("fleet.failed", reason="the one line that says why")
    for pid in range(3 * EVENTS_KEPT):
        journal("process.reaped", pid=pid, exit_code=0, signal=None)
    assert len(journal.ring) == EVENTS_KEPT
    kept = list(journal.ring)
    assert kept[0]["event"] == "fleet.failed"
    assert [event["pid"] for event in kept[1:]] == list(range(2 * EVENTS_KEPT + 1, 3 * EVENTS_KEPT))
    assert [event["seq"] for event in kept] == sorted(int(str(event["seq"])) for event in kept)


def test_a_traceback_that_comes_again_is_kept_once() -> None:
    journal = Journal(Remembered())
    for _ in range(200):
        traceback = "".join(["Traceback: ", "x" * 100_000])
        journal("worker.boot_failed", slot=1, traceback=traceback)
    texts = {id(event["traceback"]) for event in journal.ring}
    assert (len(journal.ring), len(texts)) == (200, 1)


def test_different_tracebacks_are_bounded_and_events_without_one_stay() -> None:
    journal = Journal(Remembered())
    journal("log.reopened", origin="first")
    for number in range(300):
        journal("worker.boot_failed", slot=1, traceback=f"{number} " + "x" * 100_000)
    kept = list(journal.ring)
    assert kept[0]["origin"] == "first"
    assert sum(len(str(event.get("traceback", ""))) for event in kept) <= TEXTS_BYTES_MAX
    assert str(kept[-1]["traceback"]).startswith("299 ")
    assert len(kept) > 50


def test_an_event_that_is_not_declared_is_refused() -> None:
    with pytest.raises(KeyError):
        Journal(Remembered())("worker.sneezed")


def test_a_listener_may_leave_while_it_is_told() -> None:
    ring = EventRing()
    heard: list[str] = []

    def once(_: Mapping[str, object]) -> None:
        heard.append("once")
        ring.listeners.remove(once)

    ring.listeners += [once, lambda _: heard.append("always")]
    ring.append({})
    ring.append({})
    assert heard == ["once", "always", "always"]


def test_timestamps_are_utc_to_the_millisecond() -> None:
    assert len(timestamp()) == len("2026-01-01T00:00:00.000Z")
    assert timestamp().endswith("Z")
