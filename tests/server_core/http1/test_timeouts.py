"""Stages and deadlines of a connection: tables of values, without a connection."""

from __future__ import annotations

import itertools

import pytest

from server_core.http1.stages import Stage, stage
from server_core.http1.timeouts import BodyWait, Due, due
from server_core.settings.declaration import ServerSettings

SETTINGS = ServerSettings(
    header_timeout=10.0, keep_alive=5.0, body_timeout=20.0, body_min_rate=100, request_timeout=60.0
)
QUICK = BodyWait(silent_s=1.0, waited_s=1.0, size=0)
SILENT = BodyWait(silent_s=20.1, waited_s=1.0, size=0)
SLOW = BodyWait(silent_s=1.0, waited_s=30.1, size=1000)
"""1,000 bytes at 100 a second have 10 s, besides the 20 s of body-timeout."""


@pytest.mark.parametrize(
    ("at", "since_s", "request_s", "body", "expected"),
    [
        (Stage.NEW, 10.0, 0.0, None, Due.NOTHING),
        (Stage.NEW, 10.1, 0.0, None, Due.CLOSE),
        (Stage.HEAD, 10.0, 0.0, None, Due.NOTHING),
        (Stage.HEAD, 10.1, 0.0, None, Due.REFUSE_HEAD),
        (Stage.IDLE, 5.0, 0.0, None, Due.NOTHING),
        (Stage.IDLE, 5.1, 0.0, None, Due.CLOSE_IF_IDLE),
        (Stage.REQUEST, 1000.0, 60.0, None, Due.NOTHING),
        (Stage.REQUEST, 0.0, 60.1, None, Due.EXPIRE),
        (Stage.REQUEST, 0.0, 60.1, SILENT, Due.EXPIRE),
        (Stage.REQUEST, 0.0, 0.0, QUICK, Due.NOTHING),
        (Stage.REQUEST, 0.0, 0.0, SILENT, Due.REFUSE_SILENT_BODY),
        (Stage.REQUEST, 0.0, 0.0, SILENT._replace(has_rate=False), Due.REFUSE_SILENT_BODY),
        (Stage.REQUEST, 0.0, 0.0, SLOW, Due.REFUSE_SLOW_BODY),
        (Stage.REQUEST, 0.0, 0.0, SLOW._replace(waited_s=30.0), Due.NOTHING),
        (Stage.REQUEST, 0.0, 0.0, SLOW._replace(has_rate=False), Due.NOTHING),
        (Stage.DISCARDING, 0.0, 0.0, QUICK, Due.NOTHING),
        (Stage.DISCARDING, 0.0, 0.0, SILENT, Due.HALF_CLOSE),
        (Stage.DISCARDING, 0.0, 0.0, SLOW, Due.HALF_CLOSE),
        (Stage.PARTING, 1000.0, 1000.0, SILENT, Due.NOTHING),
    ],
)
def test_what_is_due(at: Stage, since_s: float, request_s: float, body: BodyWait | None, expected: Due) -> None:
    assert due(at, since_s, SETTINGS, request_s=request_s, body=body) is expected


@pytest.mark.parametrize("at", Stage)
def test_every_stage_has_an_answer_and_none_is_due_at_once(at: Stage) -> None:
    assert due(at, 0.0, SETTINGS) is Due.NOTHING


def test_without_a_request_timeout_and_a_rate_a_request_lasts() -> None:
    settings = ServerSettings(request_timeout=0.0, body_min_rate=0)
    assert due(Stage.REQUEST, 0.0, settings, request_s=1e9, body=SLOW) is Due.NOTHING


def test_a_connection_is_in_one_stage_whatever_is_so_of_it() -> None:
    seen = set()
    for is_open, is_busy, is_in_body, is_between, has_served in itertools.product([True, False], repeat=5):
        found = stage(
            is_open=is_open,
            is_busy=is_busy,
            is_in_body=is_in_body,
            is_between_requests=is_between,
            has_served=has_served,
        )
        seen.add(found)
        assert (found is Stage.PARTING) is not is_open
        assert (found is Stage.REQUEST) is (is_open and is_busy)
        assert (found is Stage.DISCARDING) is (is_open and not is_busy and is_in_body)
        if found in (Stage.IDLE, Stage.NEW):
            assert (found is Stage.IDLE) is has_served
    assert seen == set(Stage)
