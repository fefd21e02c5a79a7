"""The access log of one worker: what ends becomes a line as the format has it, and the sink writes it."""

from __future__ import annotations

from collections.abc import Mapping
from time import monotonic
from typing import Protocol

from server_core.access_log.record import UNREAD, Place, SentHead, Served, Timed, Unread
from server_core.http.message import Head, RequestRejected


class Destination(Protocol):
    """What takes the lines, newlines included: a Sink, or the loggers of `logging`."""

    lines: list[str]
    batch_lines: int

    def add(self, line: str) -> None: ...

    def flush(self) -> None: ...

    def reopen(self) -> None: ...

    def close(self) -> None: ...


class AccessLog:
    """One line for each request that is recorded. `form` is a format or its name."""

    def __init__(self, form: str, sink: Destination, place: Place) -> None:
        from server_core.access_log.format import read  # here: it takes 5 ms to import, and most have no log

        layout = read(form)
        self._write = layout.writer(place)
        self._add = sink.add
        self._sink = sink
        self.reads_sent = layout.reads_sent
        """Whether the fields of each response have to be kept for it (SentHead.noted)."""
        self.flush = sink.flush
        self.reopen = sink.reopen
        self.close = sink.close

    def record_response(self, served: Served, duration_s: float, writer: SentHead, head: Head | None) -> None:
        """A response is complete, and `head` is its request's."""
        lines = self._sink.lines  # as sink.add() does, without its call: this is for every request
        lines.append(self._write(served, duration_s, False, writer, head))
        if len(lines) >= self._sink.batch_lines:
            self.flush()

    def record_refusal(
        self, refused: RequestRejected, sent_bytes: int, served: Timed | None, scope: Mapping[str, object]
    ) -> None:
        """A request was refused: before it was read, or, if there is something that was begun, before its body was.

        `scope` stands for that of a request that was not begun.
        """
        if served is None:
            line = UNREAD if refused.head is None else refused.head.line
            self._add(self._write(Unread(scope, refused.status, sent_bytes, line), 0.0, False, None, None))
        else:
            served.status, served.sent_bytes = refused.status, sent_bytes
            self._add(self._write(served, monotonic() - served.started_at, False, None, None))

    def record_cut(self, served: Timed, writer: SentHead, head: Head | None) -> None:
        """A request ended without a complete response: its client left, or the application broke it off."""
        self._add(self._write(served, monotonic() - served.started_at, True, writer, head))

    def record_session(self, served: Timed) -> None:
        """An accepted WebSocket has ended."""
        self._add(self._write(served, monotonic() - served.started_at, False, None, None))
