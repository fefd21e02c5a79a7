"""The journal writes every event, keeps the last ones, counts all, and tells whoever listens."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from supervisor_d.host.event_ring import EVENTS_KEPT, EventRing, Journal, timestamp
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
        "timestamp": "", "level": "debug", "event": "worker.booted", "slot": 1, "pid": 2, "generation": 3
    }  # fmt: skip
    assert journal.counts == {"worker.booted": 1}


def test_only_the_last_events_are_kept_but_all_are_counted() -> None:
    journal = Journal(Remembered())
    for number in range(EVENTS_KEPT + 5):
        journal("log.reopened", origin=number)
    assert len(journal.ring) == EVENTS_KEPT
    assert next(iter(journal.ring))["origin"] == 5
    assert journal.counts["log.reopened"] == EVENTS_KEPT + 5


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
