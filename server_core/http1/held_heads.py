"""Heads of responses that are held for their bodies, and go out alone where a body does not follow at once.

A head waits for the first part of the body, so that both leave in one write, mostly with a length. An application that
waits in between (for a database, a model, a queue) would have its client wait for the first byte, too.

Nothing is to be paid for that by a response whose body does follow: no timer, no callback of its own, no list that it
enters and leaves. So the head that was begun last is one reference (HeldHeads.starting), which the next one to begin
looks at: if that one's head is still held, its application has suspended. And there is one look for all requests of a
turn of the loop, registered behind their first steps by whoever read them (expect()). Only where a head is held
then, or where an application that had suspended before begins a response, is there another look.

Rejected: a timer for each head; a timer that runs while there are requests, which wakes an idle worker once more for
each; to step the application's coroutine ourselves, which every await below would pay for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Protocol

if TYPE_CHECKING:
    from server_core.asgi.call import Call
    from server_core.connection.context import ServerContext
    from server_core.http1.writer import H1Writer

TURNS: Final = 3
"""Turns of the loop that a body may come later without its head going out alone. A middleware that passes messages on
through a queue and a task of its own (Starlette's BaseHTTPMiddleware) takes two."""


class HeadHolder(Protocol):
    """A connection's stream, as far as it is of interest here."""

    writer: H1Writer

    @property
    def exchange(self) -> Call | None: ...

    @property
    def is_open(self) -> bool: ...

    @property
    def is_busy(self) -> bool: ...

    def respond(self, call: Call, data: bytes, more: bool) -> None: ...

    def flush(self) -> None: ...


class HeldHeads:
    """What one server looks after."""

    __slots__ = ("_begun", "_is_armed", "_server", "_waiting", "is_looked_after", "starting")

    def __init__(self, server: ServerContext) -> None:
        self._server = server
        self._begun = 0
        """The requests that had begun when it was expected last."""
        self._is_armed = False
        self.starting: HeadHolder | None = None
        """Whose response has begun last in this turn of the loop; its head may be held."""
        self.is_looked_after = True
        """Whether heads that are held now will be looked at: the reader of requests sees to it first."""
        self._waiting: dict[HeadHolder, int] = {}
        """Whose applications have suspended with a head held, and how many turns they still have."""

    def expect(self) -> None:
        """Look behind the first steps of the requests that were begun since the last call, if there were any."""
        server = self._server
        if server.requests_total != self._begun:
            self._begun = server.requests_total
            self._arm()

    def note(self, suspended: HeadHolder | None) -> None:
        """Look for what begins now, and for one that has suspended."""
        if suspended is not None:
            self._waiting.setdefault(suspended, TURNS)
        self._arm()

    def _arm(self) -> None:
        self.is_looked_after = True
        if not self._is_armed:
            self._is_armed = True
            self._server.loop.call_soon(self._look)

    def _look(self) -> None:
        self._is_armed = self.is_looked_after = False
        last, self.starting = self.starting, None
        if last is not None:
            self._waiting.setdefault(last, TURNS)
        if not self._waiting:
            return
        waiting, self._waiting = self._waiting, {}
        for stream, turns in waiting.items():
            if not stream.writer.is_held:
                continue
            if turns:
                self._waiting[stream] = turns - 1
            else:
                _send(stream)
        if self._waiting:
            self._arm()


def _send(stream: HeadHolder) -> None:
    """Let the head go out, as of a body in parts whose first is empty."""
    if stream.is_open and stream.is_busy:
        stream.respond(stream.exchange, b"", True)  # type: ignore[arg-type]  # busy with one
        stream.flush()
