"""A signal to the whole process group loses no request and kills no worker: `python -m tests.stops group`, in short."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from tests.stops.group import STARTS, Case, Outcome, stop

WORKERS = {"template": 2, "preload": 4, "none": 1}


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
@pytest.mark.parametrize("start", STARTS)
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_stop_by_the_group_loses_nothing(tmp_path: Path, number: signal.Signals, start: str, loop: str) -> None:
    outcome = stop(Case(number, WORKERS[start], start, loop), tmp_path)
    assert outcome == Outcome(outcome.in_flight, lost=0, crashes=0, exit_code=0)
