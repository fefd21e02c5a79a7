"""Where a connection stands among those that are evicted: a table of values."""

from __future__ import annotations

import pytest

from server_core.connection.eviction import ANSWERED, FRESH, IDLE, NEVER, PARTING, SILENT, STUCK
from server_core.http1.eviction_rank import Transferred, eviction_rank
from server_core.http1.stages import Stage

SINCE = 100.0


@pytest.mark.parametrize(
    ("at", "after_s", "is_untaken", "transferred", "expected"),
    [
        (Stage.PARTING, 0.0, True, None, (PARTING, SINCE)),
        (Stage.IDLE, 1.9, False, None, (FRESH, SINCE)),
        (Stage.IDLE, 2.0, False, None, (IDLE, SINCE)),
        (Stage.IDLE, 2.0, True, None, (ANSWERED, SINCE)),
        (Stage.NEW, 0.0625, False, None, (NEVER, SINCE)),
        (Stage.NEW, 0.125, False, None, (SILENT, SINCE)),
        (Stage.HEAD, 0.125, False, None, (SILENT, SINCE)),
        (Stage.HEAD, 0.125, True, None, (ANSWERED, SINCE)),
        (Stage.DISCARDING, 0.0, False, None, (ANSWERED, SINCE)),
        (Stage.REQUEST, 900.0, True, None, (NEVER, 0.0)),
        (Stage.REQUEST, 0.0, True, Transferred(50, 0.125), (NEVER, 0.0)),
        (Stage.REQUEST, 0.0, True, Transferred(50, 0.25), (STUCK, 200.0)),
        (Stage.REQUEST, 0.0, False, Transferred(0, 4.0), (STUCK, 0.0)),
    ],
)
def test_the_rank(
    at: Stage, after_s: float, is_untaken: bool, transferred: Transferred | None, expected: tuple[int, float]
) -> None:
    assert eviction_rank(at, SINCE, SINCE + after_s, is_untaken=is_untaken, transferred=transferred) == expected
