"""The page about the control socket is current."""

from __future__ import annotations

from pathlib import Path

import pytest

from supervisor_d.control.commands import COMMANDS
from supervisor_d.control.reference import PAGE, commands_table, renewed

ROOT = Path(__file__).parents[3]


def test_the_table_in_the_page_is_current() -> None:
    page = (ROOT / PAGE).read_text("utf-8")
    assert page == renewed(page), "run: python -m supervisor_d.control.reference"


def test_every_command_has_a_row_of_five_cells() -> None:
    rows = commands_table().splitlines()[2:]
    assert len(rows) == len(COMMANDS)
    assert {row.replace("\\|", "").count("|") for row in rows} == {6}


def test_a_page_that_lost_its_marks_is_not_overwritten() -> None:
    with pytest.raises(ValueError, match="marks"):
        renewed("# a page")
