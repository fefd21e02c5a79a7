"""One client: asks, checks, and books each request as right or lost; nothing is retried.

Rules of what counts, beside tally.py's:
 - A kept-alive client whose last response said `Connection: close` opens a new connection for its next request. That
   is HTTP (RFC 9112 section 9.6), not a retry.
 - A kept-alive client whose idle connection was closed before one byte of the next request was written opens a new
   one; the kernel is asked right before writing. Once bytes are written, a close or reset is a loss.
 - The second of a pipelined pair is lost if the connection ends after the first answer, whatever that answer said:
   both were in the server's hands.

Latency is what a user waits: from the decision to ask (connecting included) to the last byte of the answer; for an
upload from the last piece of its body on. A download has none: its length is the application's.
"""

from __future__ import annotations

import asyncio
import random
from dataclasses import dataclass

from tests.chaos.tally import Loss, Tally
from tests.chaos.wire import Address, Answer, Lost, Wire

ANSWER_TIMEOUT_S = 20.0
"""Longest wait for one answer; chosen to be far above every limit under test, so that only a real loss reaches it."""


@dataclass(frozen=True, slots=True)
class Ask:
    """One request: its bytes in the pieces they are written in, and the body of its right answer."""

    what: str
    pieces: tuple[bytes, ...]
    expected: bytes
    between_s: float = 0.0
    times: str = "whole"
    """What is timed: whole (all of it), upload (from the last piece on) or nothing."""
    last: bool = False
    """The client itself said that it will close."""


class Client:
    """One client of one kind: at most one connection, requests one after another."""

    def __init__(self, address: Address, tally: Tally, kind: str, number: int, *, seed: int = 0) -> None:
        self.address = address
        self.tally = tally
        self.kind = kind
        self.name = f"{kind.replace(' ', '-')}-{number}"
        self.rng = random.Random(f"{seed}/{self.name}")
        self.wire: Wire | None = None
        self.pausing = False
        self.retired = False
        self.asked = 0

    def nonce(self) -> str:
        self.asked += 1
        return f"{self.name}-{self.asked}"

    def head(self, method: str, target: str, *fields: str) -> bytes:
        lines = (f"{method} {target} HTTP/1.1", f"host: {self.address[0]}", *fields, "", "")
        return "\r\n".join(lines).encode()

    async def pause(self, shortest_s: float, longest_s: float) -> None:
        """What a user does between two requests; the only place where stopping may interrupt."""
        self.pausing = True
        try:
            await asyncio.sleep(self.rng.uniform(shortest_s, longest_s))
        finally:
            self.pausing = False

    async def connection(self) -> Wire:
        """The kept-alive connection if the server has not closed it, else a new one."""
        if self.wire is not None and self.wire.is_ended():
            self.tally.idle_closes += 1
            self.drop()
        if self.wire is None:
            self.wire = await Wire.open(self.address)
            self.tally.connected(self.wire.port)
        return self.wire

    def drop(self) -> None:
        if self.wire is not None:
            self.wire.close()
            self.wire = None

    async def ask(self, *asks: Ask) -> None:
        """Writes these requests at once, reads their answers in order, and books each as right or lost."""
        loop = asyncio.get_running_loop()
        decided_at = loop.time()
        idle_s = decided_at - self.wire.quiet_since if self.wire is not None else 0.0
        booked, closing = 0, False
        try:
            async with asyncio.timeout(ANSWER_TIMEOUT_S):
                wire = await self.connection()
                timed_from = await self._write(wire, asks) or decided_at
                for ask in asks:
                    answer = await wire.answer()
                    self._check(ask, answer)
                    if answer.pid is not None:
                        self.tally.pids.add(answer.pid)
                    self.tally.answered(self.kind, loop.time() - timed_from if ask.times != "nothing" else None)
                    booked += 1
                    closing = answer.closing
        except (Lost, TimeoutError) as error:
            for ask in asks[booked:]:
                self.lose(ask.what, error, decided_at, idle_s)
            closing = True
        if closing:
            self.tally.announced_closes += booked == len(asks) and not asks[-1].last
            self.drop()

    async def _write(self, wire: Wire, asks: tuple[Ask, ...]) -> float | None:
        """Writes all pieces; the instant of the last one if that is what is timed."""
        wire.phase = "send"
        if len(asks) > 1:
            wire.write(b"".join(piece for ask in asks for piece in ask.pieces))
            return None
        for index, piece in enumerate(asks[0].pieces):
            if index and asks[0].between_s:
                await asyncio.sleep(asks[0].between_s)
            wire.write(piece)
        return asyncio.get_running_loop().time() if asks[0].times == "upload" else None

    def _check(self, ask: Ask, answer: Answer) -> None:
        if answer.status != 200:
            raise Lost("body", f"status {answer.status}")
        if answer.body != ask.expected:
            raise Lost("body", f"wrong body: {answer.body[:40]!r}")

    def lose(self, what: str, error: Lost | TimeoutError, decided_at: float, idle_s: float) -> None:
        self.retired |= self.tally.lose(self.loss(what, error, decided_at, idle_s))

    def loss(
        self, what: str, error: Lost | TimeoutError, decided_at: float, idle_s: float, *, message: str = ""
    ) -> Loss:
        """What befell a request, with its circumstances."""
        wire = self.wire
        late = isinstance(error, TimeoutError)
        return Loss(
            kind=self.kind,
            what=what,
            phase=(wire.phase if wire is not None else "connect") if not isinstance(error, Lost) else error.phase,
            why=f"no answer in {ANSWER_TIMEOUT_S:g} s" if late else str(getattr(error, "why", error)),
            at_s=round(self.tally.elapsed_s(), 4),
            after_s=round(asyncio.get_running_loop().time() - decided_at, 4),
            during=self.tally.during,
            port=wire.port if wire is not None else 0,
            pid=wire.pid if wire is not None else None,
            requests_before=wire.answers if wire is not None else 0,
            idle_s=round(idle_s, 4),
            received=bytes(wire.buffer[:80]).decode("latin-1") if wire is not None else "",
            message=message,
        )
