"""The transcripts in tests/conformance, on both parsers: whole, byte by byte, split once at every place, and late."""

from __future__ import annotations

import asyncio

import pytest

from tests.conformance.cases import Case, all_cases, read_cases
from tests.conformance.page import PAGE, Row, render
from tests.conformance.play import Stage, play
from tests.helpers.http import PARSERS

CASES = all_cases()


@pytest.mark.parametrize("parser", PARSERS)
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.claim)
def test_the_transcript_holds_however_its_bytes_arrive(case: Case, parser: str) -> None:
    assert asyncio.run(play(case, parser)) == []


def test_each_transcript_has_a_claim_of_its_own_a_source_and_an_end() -> None:
    assert len(CASES) > 150
    assert len({case.claim for case in CASES}) == len(CASES)
    assert [case.claim for case in CASES if not (case.group and case.source and case.responses and case.end)] == []


def test_every_status_of_a_refusal_is_in_the_transcripts() -> None:
    told = {expected.status for case in CASES for expected in case.responses}
    assert {400, 408, 413, 414, 417, 426, 431, 500, 501, 505} <= told


@pytest.mark.parametrize(
    ("expected", "fault"),
    [
        ("< 400\n< close", "[200] instead of [400]"),
        ("< 200 POST\n< open", "the body is"),
        ("< 200\n< close", "the connection is open"),
        ("< 200\n< cut", "the response is whole"),
    ],
)
def test_a_transcript_that_does_not_hold_is_told(expected: str, fault: str) -> None:
    text = f"## a\n=== b\n= c\n> GET / HTTP/1.1\\r\\nHost: x\\r\\n\\r\\n\n{expected}"
    (case,) = read_cases(text)

    async def scenario() -> list[str]:
        return await Stage(case, "h11").play([case.sent])

    assert fault in asyncio.run(scenario())[0]


def test_the_page_is_current() -> None:
    rows = [Row(case, dict.fromkeys(PARSERS, ())) for case in CASES]
    assert PAGE.read_text(encoding="utf-8") == render(rows), "run `python -m tests.conformance`"


def test_a_disagreement_is_shown_on_the_page() -> None:
    row = Row(CASES[0], {"httptools": ["a", "b"], "h11": []})
    assert "| **2 disagree** | holds |" in render([row])
    assert "2 disagreements" in render([row])
