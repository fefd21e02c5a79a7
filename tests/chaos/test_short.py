"""The short form: a daemon under load while it is reloaded, scaled, broken and stopped; lost = 0.

Event loops and parsers are split over the groups of actions, so that every one is used and the whole stays within
two minutes. No assertion on speed: this runs on machines that do other things, too. The long form: CHAOS.md.
"""

from __future__ import annotations

import asyncio

import pytest

from tests.chaos.report import details
from tests.chaos.scenarios import SHORT_LOADS, short
from tests.chaos.staging import Plan


@pytest.mark.parametrize(("group", "loop", "http"), SHORT_LOADS)
def test_no_request_is_lost(group: str, loop: str, http: str) -> None:
    result = asyncio.run(short(Plan(loop=loop, http=http, quiet_s=0.5), group))
    assert result.passed, details(result)
    assert result.tally.requests > 1000
