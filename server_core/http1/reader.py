"""Reads HTTP/1.1 requests from bytes: finds the head, has it parsed and judged, takes the body's framing off.

One request at a time: what follows a complete request is held, unread, until next() is called, so pipelined requests
are answered in order and cost their bytes only. Whoever feeds a reader stops when `held` grows too large.
"""

from __future__ import annotations

import re
import sys
from typing import Final, cast

from server_core.http.fields import overrule_host
from server_core.http.grammar import FIELD_LINES
from server_core.http.message import (
    CHUNKED,
    Fields,
    Head,
    HeaderParser,
    RequestEvents,
    RequestLine,
    RequestRejected,
    body_too_large,
)
from server_core.http1.chunked import ChunkedBody
from server_core.http1.framing import VERDICTS, judge
from server_core.http1.request_line import RequestLines, first_fault
from server_core.settings.declaration import ServerSettings

LAST_LIMIT: Final = 2048
"""Longest fields that are kept for a connection's next request, in bytes. Chosen: an idle connection costs twice that
at most; no evidence but that browsers send fewer than 1,000."""

_HEAD_END: Final = b"\r\n\r\n"
_EMPTY_LINES: Final = re.compile(rb"(?:\r\n)+")
_IN_HEAD, _IN_BODY, _DONE = range(3)


class H1Reader:
    """The reading half of one HTTP/1.1 connection. `parser` may serve many: nothing of a connection stays in it."""

    __slots__ = (
        "_body_limit",
        "_chunked",
        "_fields_limit",
        "_forwarded",
        "_head",
        "_head_limit",
        "_last",
        "_line_limit",
        "_lines",
        "_parser",
        "_remaining",
        "_scanned",
        "_seen",
        "_sink",
        "_state",
        "held",
    )

    def __init__(
        self, parser: HeaderParser, lines: RequestLines, settings: ServerSettings, sink: RequestEvents
    ) -> None:
        self._parser = parser
        self._lines = lines
        self._seen = lines.seen
        self._line_limit = settings.limit_request_line
        self._head_limit = settings.limit_header_bytes
        self._fields_limit = settings.limit_request_fields
        self._body_limit = settings.limit_body or sys.maxsize
        self._sink = sink
        self._head = Head()
        self._state = _IN_HEAD
        self._chunked: ChunkedBody | None = None
        self._remaining = 0
        self._scanned = 0
        self._last = b""
        """All behind the line of the head that was parsed last, if that was well: it had the lasting fields."""
        self._forwarded: Fields = []
        self.held = b""
        """Bytes that were fed and not yet read: a partial head, or what follows a complete request."""

    def feed(self, data: bytes) -> None:
        """Read on. Raises RequestRejected when the bytes break a rule; nothing may be fed after that."""
        if self._state != _IN_HEAD:
            if self._state == _IN_BODY:
                self._read_body(data)
            else:
                self.held += data
            return
        if self.held:
            data = self.held + data
        last = self._last
        line_end = data.find(b"\r")
        is_same = line_end > 0 and last != b"" and data.startswith(last, line_end)
        if is_same:
            end = line_end + len(last)
        else:
            end = data.find(_HEAD_END, self._scanned) + 4
            if (end <= 4 or data[0] == 13) and self._is_for_later(data, end):
                return
        if line_end > self._line_limit or end > self._head_limit:
            raise self.told(self._fault(data[:end]) or RequestRejected(431, "request head too large"), data[:end])
        self.held = data[end:] if end != len(data) else b""
        head = self._head
        try:
            try:
                line = self._seen[data[:line_end]]
            except KeyError:
                line = self._lines.get(data[:line_end])
            if is_same and line.version == head.line.version and line.authority is None:
                head.fields, head.forwarded = list(head.lasting), self._forwarded
            else:
                self._parse(line, data[:end], data[line_end:end])
        except RequestRejected as refused:
            raise self.told(self._reason(data[:end], refused), data[:end]) from None
        head.line = line
        if head.rules.length == 0:
            self._state = _DONE
            self._sink.begin(head)
        else:
            self._begin_body(head)

    def _parse(self, line: RequestLine, data: bytes, rest: bytes) -> None:
        """Take apart the fields of a head, which is `rest` behind its line, and judge them.

        A client's next request mostly has the fields of its last one, so these are kept: what is the same to the byte,
        in the same version, comes to the same; unless some were left out, which are counted each time. Rejected:
        remembering them for all connections, which costs a hash of all the bytes each time, and is filled by cookies
        that never come back.
        """
        parser, head = self._parser, self._head
        self._last = b""
        try:
            fields = parser.parse(data if line.is_known else _disguised(line, rest))
            if len(fields) > self._fields_limit:
                raise too_many_fields()
            rules = VERDICTS.get((line.version, *parser.special)) or judge(line, parser.special)
        except BaseException:  # raised again: the parser is everybody's, and nobody may go on where this broke off
            parser.renew()
            raise
        head.rules, head.forwarded = rules, parser.forwarded
        self._forwarded = parser.forwarded
        if rules.length or not rules.keep_alive:
            parser.renew()  # it would wait for the body, which is not its business, or take nothing behind this head
        if parser.dropped:
            parser.dropped_total += parser.dropped
        if line.authority is not None:
            fields = overrule_host(line.authority, fields)
        elif len(rest) <= LAST_LIMIT and not parser.dropped:
            self._last = rest
        head.renew(fields, tuple(fields) if self._last else ())

    def _is_for_later(self, data: bytes, end: int) -> bool:
        """Whether there is no head to read here, but at most the beginning of one, or empty lines before one."""
        # RFC 9112 2.2: a server "SHOULD ignore at least one empty line (CRLF) received prior to the request-line"
        empty = _EMPTY_LINES.match(data)
        if empty is not None:
            self._scanned = 0
            self.held = b""
            self.feed(data[empty.end() :])
        elif end < 4:
            self._hold_head(data)
        else:
            return False
        return True

    def close(self) -> None:
        """Read no more: sink and reader know each other, and would wait for the garbage collector."""
        self._sink = cast(RequestEvents, None)

    def next(self) -> None:
        """Let the next request be read; feed(b"") reads it from what is held."""
        self._state = _IN_HEAD
        self._scanned = 0

    @property
    def is_between_requests(self) -> bool:
        """Whether not a byte of a next request has come yet."""
        return self._state == _IN_HEAD and not self.held

    @property
    def is_in_head(self) -> bool:
        """Whether the next byte is the next request's, or an empty line's before it."""
        return self._state == _IN_HEAD

    @property
    def is_in_body(self) -> bool:
        return self._state == _IN_BODY

    @property
    def body_left(self) -> int:
        """Bytes still to come of the body that is being read; CHUNKED where only its last chunk tells; else 0."""
        return self._remaining if self._state == _IN_BODY else 0

    @property
    def body_taken(self) -> int:
        """Bytes that have come of the body that is being read."""
        return self._head.rules.length - self._remaining if self._chunked is None else self._chunked.taken

    def _begin_body(self, head: Head) -> None:
        if head.rules.length > self._body_limit:
            refused = body_too_large()
            refused.head = _excerpt(head.line, head.fields, head.forwarded)
            raise refused
        self._state = _IN_BODY
        self._remaining = head.rules.length
        if head.rules.length == CHUNKED:
            self._chunked = ChunkedBody(self._body_limit, self._head_limit)
        self._sink.begin(head)
        if self.held:
            data, self.held = self.held, b""
            self._read_body(data)

    def _read_body(self, data: bytes) -> None:
        if self._chunked is not None:
            body = self._chunked.feed(data)
            rest = self._chunked.rest
        elif len(data) < self._remaining:
            self._remaining -= len(data)
            body, rest = data, None
        elif len(data) == self._remaining:
            body, rest = data, b""
        else:
            body, rest = data[: self._remaining], data[self._remaining :]
        if body:
            self._sink.body(body)
        if rest is not None:
            self._chunked = None
            self._state = _DONE
            self.held = rest
            self._sink.end()

    def _hold_head(self, data: bytes) -> None:
        """Keep the beginning of a head, unless it breaks a rule already."""
        fault = self._fault(data, self._scanned)
        if fault is not None:
            raise self.told(fault, data)
        self._scanned = max(0, len(data) - 3)
        self.held = data

    def told(self, refused: RequestRejected, head: bytes) -> RequestRejected:
        """The refusal of this head, or of the beginning of one, with what could be read of it."""
        line = self._lines.glance(head)
        if line is not None:
            is_sound = FIELD_LINES.fullmatch(head, head.find(b"\r")) is not None
            fields, _, forwarded, _ = self._parser.sort(head) if is_sound else ([], [], [], 0)
            refused.head = _excerpt(line, fields, forwarded)
        return refused

    def _fault(self, data: bytes, scanned: int = 0) -> RequestRejected | None:
        return first_fault(data, scanned, self._lines, self._line_limit, self._head_limit)

    def _reason(self, head: bytes, refused: RequestRejected) -> RequestRejected:
        """Why a head is refused: its first fault, a malformed line, too many; then what the rules say of its fields.

        Last what the parser said: it does not say whose rule was broken, nor do two parsers look in the same order.
        """
        fault = self._fault(head)
        if fault is not None:
            return fault
        line_end = head.find(b"\r")
        if FIELD_LINES.fullmatch(head, line_end) is None:
            return RequestRejected(400, "malformed header fields")
        if head.count(b"\r\n") - 2 > self._fields_limit:
            return too_many_fields()
        try:
            judge(self._lines.get(head[:line_end]), self._parser.special)
        except RequestRejected as told:
            return told
        return refused


def _excerpt(line: RequestLine, fields: Fields, forwarded: Fields) -> Head:
    head = Head()
    head.line, head.fields, head.forwarded = line, fields, forwarded
    return head


def too_many_fields() -> RequestRejected:
    return RequestRejected(431, "too many header fields")


def _disguised(line: RequestLine, rest: bytes) -> bytes:
    """The head with a method that every parser knows: its fields are what a parser is asked for."""
    return b"POST / HTTP/%b%b" % (line.version.encode("ascii"), rest)
