"""No module imports, by whatever way, one that imports it, nor one on a floor above its own."""

from __future__ import annotations

import re

from tests.imports import FLOORS, ROOT, circles, graph, upward

STILL_ALLOWED: list[list[str]] = []
"""What is left of them. A line that can go must go: the list only shrinks."""


def test_no_module_imports_one_that_imports_it() -> None:
    assert circles(graph()) == STILL_ALLOWED


def test_no_import_of_the_server_core_runs_upward() -> None:
    assert upward(graph()) == []


def test_an_import_that_runs_upward_is_found() -> None:
    known = {
        "server_core": frozenset[str](),
        "server_core.http1.reader": frozenset({"server_core.transport.base", "server_core.server.server"}),
        "server_core.listen.acceptor": frozenset({"server_core.http1.reader"}),
        "server_core.server.server": frozenset({"server_core.http1.reader"}),
        "server_core.transport.base": frozenset({"server_core"}),
    }
    assert upward(known) == [
        ("server_core.http1.reader", "server_core.server.server"),
        ("server_core.transport.base", "server_core"),
    ]


def test_the_design_names_the_floors_in_their_order() -> None:
    design = (ROOT / "contrib" / "docs" / "DESIGN.md").read_text(encoding="utf-8")
    told = re.findall(
        r"^    ([a-z_0-9 |]+?)  +\S", design.partition("### The floors")[2].partition("\n### ")[0], re.MULTILINE
    )
    named = [room for line in told for room in line.split(" | ")]
    assert named == [room for rooms in FLOORS[1:] for room in rooms if (ROOT / "server_core" / room).is_dir()]


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
