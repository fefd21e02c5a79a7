"""No module imports, by whatever way, one that imports it."""

from __future__ import annotations

from tests.imports import circles, graph

STILL_ALLOWED = [["supervisor_d", "supervisor_d.daemon", "supervisor_d.launch"]]
"""What is left of them. A line that can go must go: the list only shrinks."""


def test_no_module_imports_one_that_imports_it() -> None:
    assert circles(graph()) == STILL_ALLOWED


def test_a_circle_is_found_through_a_third_module_and_not_where_there_is_none() -> None:
    known = {
        "a": frozenset({"b"}),
        "b": frozenset({"c", "d"}),
        "c": frozenset({"a"}),
        "d": frozenset({"e"}),
        "e": frozenset[str](),
        "f": frozenset({"g"}),
        "g": frozenset({"f", "a"}),
    }
    assert circles(known) == [["a", "b", "c"], ["f", "g"]]
