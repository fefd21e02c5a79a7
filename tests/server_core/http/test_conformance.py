"""The transcripts in tests/conformance, on both parsers: whole, byte by byte, and split once at every place."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from server_core.connection import Connection
from server_core.server import Server
from server_core.settings import ServerSettings
from tests.helpers.http import PARSERS, Heard, PipeTransport, parse_responses, reflect

TRANSCRIPTS = Path(__file__).parents[2] / "conformance"


@dataclass
class Case:
    claim: str
    sent: bytes = b""
    responses: list[tuple[int, bytes | None]] = field(default_factory=list)
    is_open: bool = True
    settings: dict[str, str] = field(default_factory=dict)


def unescape(text: str) -> bytes:
    return text.encode("utf-8").decode("unicode_escape").encode("latin-1")


def read_cases(path: Path) -> list[Case]:
    cases: list[Case] = []
    for line in path.read_text(encoding="utf-8").splitlines():
        mark, _, text = line.partition(" ")
        if mark == "===":
            cases.append(Case(text))
        elif mark == "@":
            name, _, value = text.partition(" ")
            cases[-1].settings[name] = value
        elif mark == ">":
            cases[-1].sent += unescape(text)
        elif mark == "<" and text in ("open", "close"):
            cases[-1].is_open = text == "open"
        elif mark == "<":
            status, separator, body = text.partition(" ")
            cases[-1].responses.append((int(status), unescape(body) if separator else None))
    return cases


CASES = [case for path in sorted(TRANSCRIPTS.glob("*.http")) for case in read_cases(path)]


async def play(server: Server, pieces: list[bytes]) -> PipeTransport:
    transport = PipeTransport(Connection(server, ("192.0.2.1", 5)))
    for piece in pieces:
        transport.feed(piece)
        for _ in range(4):  # the application's step, its end, and what was held behind the request
            await asyncio.wait([asyncio.ensure_future(one_turn())])
    return transport


async def one_turn() -> None:
    """Nothing: awaiting it lets everything that is ready run first."""


@pytest.mark.parametrize("parser", PARSERS)
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.claim)
def test_the_transcript_holds_whole_and_split_at_every_byte(case: Case, parser: str) -> None:
    async def scenario() -> None:
        loop = asyncio.get_running_loop()
        heard = Heard()
        server = Server(reflect, ServerSettings(http=parser, **case.settings), loop, log=heard)
        sent = case.sent
        whole = [[sent, b""]]
        bytewise = [[sent[at : at + 1] for at in range(len(sent))]]
        halves = [[sent[:at], sent[at:]] for at in range(1, len(sent))]
        for pieces in whole + bytewise + halves:
            transport = await play(server, pieces)
            responses = parse_responses(transport.written)
            assert [response.status for response in responses] == [status for status, _ in case.responses], pieces
            for response, (_, body) in zip(responses, case.responses, strict=True):
                assert response.is_whole, pieces
                assert body is None or response.body == body, pieces
            assert transport.is_shut is not case.is_open, pieces
            assert responses[-1].headers.get("connection") != "close" or not case.is_open
            transport.lose()
        assert not heard.all("request.failed")

    asyncio.run(scenario())


def test_there_are_transcripts() -> None:
    assert len(CASES) > 60
    assert len({case.claim for case in CASES}) == len(CASES)
