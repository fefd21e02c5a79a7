"""Plays one transcript on one parser in every way that its bytes can arrive, and says where it does not hold.

Ways: whole, byte by byte, split once at every place, and whole for an application that does not answer before
everything has come.
"""

from __future__ import annotations

import asyncio
from collections.abc import Generator, Sequence

from server_core.asgi.http_exchange import Message, Receive, Send
from server_core.http1.connection import Http1Connection
from server_core.server.server import Server
from server_core.settings.declaration import ServerSettings
from tests.conformance.application import answer
from tests.conformance.cases import Case
from tests.helpers.http import Heard, PipeTransport, Response, parse_responses

PLAIN = "text/plain; charset=utf-8"


def ways(sent: bytes) -> list[list[bytes]]:
    """The pieces of each way in which the bytes may come."""
    whole = [[sent]]
    bytewise = [[sent[at : at + 1] for at in range(len(sent))]]
    return whole + bytewise + [[sent[:at], sent[at:]] for at in range(1, len(sent))]


def tries(case: Case) -> int:
    """How often a case is played on each parser."""
    return len(ways(case.sent)) + 1


class Stage:
    """One server for one transcript; an application on it answers when the gate is open."""

    def __init__(self, case: Case, parser: str) -> None:
        self.case = case
        self.parser = parser
        self.heard = Heard()
        self.gate = asyncio.Event()
        settings = ServerSettings(http=parser, **case.settings)  # type: ignore[arg-type]  # the transcript names them
        self.server = Server(self._app, settings, asyncio.get_running_loop(), log=self.heard)

    async def _app(self, scope: Message, receive: Receive, send: Send) -> None:
        await self.gate.wait()
        await answer(scope, receive, send)

    async def play(self, pieces: Sequence[bytes], *, late: bool = False) -> list[str]:
        """How the transcript does not hold on a connection of its own, if its bytes come in these pieces."""
        case, server = self.case, self.server
        self.heard.events.clear()
        connection = Http1Connection(server, server.http1, ("192.0.2.1", 5))
        transport = PipeTransport(connection)
        if late:
            self.gate.clear()
        else:
            self.gate.set()
        for piece in pieces:
            transport.feed(piece)
            if connection.stream.exchange is not None:
                await settle(connection, 1)
        self.gate.set()
        await settle(connection, len(case.responses))
        if case.later_s:
            server.sweep(server.now + case.later_s)
            await settle(connection, 1)
        found = compare(case, transport, refused=self.heard.all("request.refused"))
        transport.lose()
        await settle(connection, 1)
        way = "late" if late else f"split {[len(piece) for piece in pieces]}"
        return [f"{case.claim} ({self.parser}, {way}): {fault}" for fault in found]


async def play(case: Case, parser: str) -> list[str]:
    """Every way in which the transcript does not hold; none, as it should be."""
    stage = Stage(case, parser)
    faults: list[str] = []
    for pieces in ways(case.sent):
        faults += await stage.play(pieces)
    return faults + await stage.play([case.sent], late=True)


class Turn:
    """Awaiting it lets everything that is ready run first."""

    def __await__(self) -> Generator[None, None, None]:
        yield


async def settle(connection: Http1Connection, requests: int) -> None:
    """Let so many requests be read, answered and ended; nobody waits for a connection that has none."""
    idle = 0
    for _ in range(4 * requests + 2):  # the application's steps, its end, and what was held behind the request
        idle = idle + 1 if connection.stream.exchange is None else 0
        if idle > 2:
            return
        await Turn()


def compare(case: Case, transport: PipeTransport, refused: list[dict[str, object]]) -> list[str]:
    """How the bytes that were written differ from the transcript."""
    heads = [expected.to_head for expected in case.responses]
    responses = [found for found in parse_responses(transport.written, heads) if found.status != 100]
    statuses = [expected.status for expected in case.responses]
    if [response.status for response in responses] != statuses:
        return [f"{[response.status for response in responses]} instead of {statuses}"]
    faults: list[str] = []
    for response, expected in zip(responses, case.responses, strict=True):
        is_cut = case.end == "cut" and response is responses[-1]
        if response.is_whole is is_cut:
            faults.append("the response is whole" if is_cut else "the response is not whole")
        if expected.body is not None and response.body != expected.body:
            faults.append(f"the body is {response.body!r}")
    if transport.is_shut is (case.end == "open"):
        faults.append("the connection is not open" if transport.is_shut else "the connection is open")
    if case.end == "open" and responses[-1].headers.get("connection") == "close":
        faults.append("the head says close, and the connection is open")
    return faults + (of_refusal(responses[-1], case) if refused else [])


def of_refusal(response: Response, case: Case) -> list[str]:
    """What is not as it should be in the answer to a request that was refused."""
    faults: list[str] = []
    if response.body.count(b"\n") != 1 or not response.body.endswith(b"\n") or len(response.body) < 2:
        faults.append(f"the body of the refusal is not one line: {response.body!r}")
    if response.headers.get("content-type") != PLAIN:
        faults.append("the refusal is not plain text")
    if response.headers.get("connection") != "close" or case.end != "close":
        faults.append("the refusal does not close the connection")
    return faults
