"""The page of other servers' options says what the tables say."""

from __future__ import annotations

from pathlib import Path

import pytest

from supervisor_d.compat.reference import PAGE, renewed, tables
from supervisor_d.settings.table import ROWS

ROOT = Path(__file__).parents[3]


def test_the_page_is_current() -> None:
    page = (ROOT / PAGE).read_text("utf-8")
    assert renewed(page) == page, "run `python -m supervisor_d.compat.reference`"


def test_a_page_without_its_marks_is_refused() -> None:
    with pytest.raises(ValueError, match="the marks around the generated tables are missing"):
        renewed("# a page\n")


@pytest.mark.parametrize("peer", tables())
def test_each_row_names_settings_that_there_are(peer: str) -> None:
    ours = {row.long for row in ROWS.values()}
    assert [(row.name, name) for row in tables()[peer].values() for name in row.ours if name not in ours] == []
