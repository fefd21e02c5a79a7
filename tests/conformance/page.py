"""What the transcripts came to, as the page contrib/docs/CONFORMANCE.md."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

from tests.conformance.cases import Case
from tests.conformance.play import tries
from tests.helpers.http import PARSERS

PAGE = Path(__file__).parents[2] / "contrib" / "docs" / "CONFORMANCE.md"

HEAD = """\
# Conformance to HTTP/1.1

One set of rules, whichever parser reads the request. Each rule below is a transcript in `tests/conformance`: bytes that
a client sends, and what must come of them. Each is played on both parsers: whole, byte by byte, split once at every
place, and whole for an application that answers late. A play disagrees if a status, a body, the order of the answers or
the end of the connection is another one.

What holds for every refusal is checked in each play: the body is one plain line, the answer says `Connection: close`,
and the connection closes. Answers to the requests before it come first.

Any method token of up to 128 bytes is served with both parsers: where httptools does not know one, it is shown another
method in its place, and the application sees the client's. Where an RFC leaves a choice, the stricter one was taken:
what a proxy in front might read in another way is refused.

Beyond the transcripts, `tests/server_core/http1/test_fuzz.py` makes up streams of requests, changes their bytes and
cuts them anywhere: both parsers must tell the same requests, fields, bodies and statuses as
`tests/conformance/oracle.py`, which says the same rules again byte by byte and uses nothing of the server.
`FUZZ_EXAMPLES=100000 python -m pytest tests/server_core/http1/test_fuzz.py` tries so many, other ones each time.

`tests/process/test_smuggling.py` sends every transcript of the default settings through nginx and HAProxy: what clients
are answered and what the application was asked is the same list, so no request is hidden in another one.

This page is written by `python -m tests.conformance`, which exits with 1 if a play disagrees.
"""


@dataclass(frozen=True)
class Row:
    case: Case
    faults: Mapping[str, Sequence[str]]
    """Of each parser, what did not hold."""


def answers(case: Case) -> str:
    """The statuses in order, and how the connection ends."""
    return f"{', '.join(str(expected.status) for expected in case.responses)}; {case.end}"


def summary(rows: Sequence[Row]) -> str:
    plays = sum(tries(row.case) for row in rows) * len(PARSERS)
    disagreements = sum(len(faults) for row in rows for faults in row.faults.values())
    return f"{len(rows)} rules, {plays} plays, {disagreements} disagreements"


def line(row: Row) -> str:
    results = ["holds" if not row.faults[parser] else f"**{len(row.faults[parser])} disagree**" for parser in PARSERS]
    cells = [row.case.claim, row.case.source, answers(row.case), *results, str(tries(row.case))]
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"


def render(rows: Sequence[Row]) -> str:
    """The whole page."""
    parts = [HEAD, f"**{summary(rows)}.**\n"]
    for group, members in groupby(rows, key=lambda row: row.case.group):
        heading = f"| rule | source | answer | {' | '.join(PARSERS)} | plays on each |"
        parts.append("\n".join([f"## {group}\n", heading, "|---|---|---|---|---|---|", *map(line, members), ""]))
    return "\n".join(parts)
