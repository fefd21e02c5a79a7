"""The page of states says what the tables say."""

from __future__ import annotations

from tests.helpers.states_page import PAGE, render


def test_the_page_of_states_is_current() -> None:
    assert PAGE.read_text(encoding="utf-8") == render(), "run: python -m tests.helpers.states_page"
