"""The frameworks that the test suite has anyway, under both parsers; `python -m tests.frameworks` runs them all."""

from __future__ import annotations

import pytest

from tests.frameworks.checks import CHECKS
from tests.frameworks.drive import FRAMEWORKS, Result, drive
from tests.frameworks.page import render

GRACEFUL_S = 3.0
"""Streams last until a fifth of it is left, so it is most of what these tests take."""


@pytest.mark.parametrize(("framework", "parser"), [("FastAPI", "httptools"), ("Starlette", "h11")])
def test_it_serves_everything_and_stops_with_its_clients_connected(framework: str, parser: str) -> None:
    pytest.importorskip("python_multipart", reason="python-multipart is not installed")
    pytest.importorskip(FRAMEWORKS[framework])
    assert drive(framework, parser, GRACEFUL_S).faults == {}


def test_a_check_that_fails_is_shown_on_the_page() -> None:
    versions = dict.fromkeys(FRAMEWORKS.values(), "1.0")
    sound = render([Result("Quart", "h11", {}, 1.5)], versions, "3.11", 2.0)
    assert f"| Quart 1.0 | h11 | {' | '.join(['passes'] * len(CHECKS))} | 1.5 s |" in sound
    broken = render([Result("Quart", "h11", {"WebSocket": "closed", "log": "x"}, 1.5)], versions, "3.11", 2.0)
    assert "| passes | **fails** | **fails** |" in broken
