"""Each kind of fact has one row, and so one handler."""

from __future__ import annotations

from collections import Counter
from typing import get_args

from supervisor_d.policy.fact_table import HANDLERS, ROWS
from supervisor_d.vocabulary import Fact


def test_each_kind_of_fact_has_one_row() -> None:
    assert Counter(kind for kind, _ in ROWS) == Counter(get_args(Fact))
    assert len(HANDLERS) == len(ROWS)
