"""The chunked transfer coding taken off a request body, strictly and within bounds (RFC 9112 section 7.1)."""

from __future__ import annotations

import re
from typing import Final

from server_core.http.grammar import FIELD_LINE, QUOTED, TOKEN
from server_core.http.message import RequestRejected, body_too_large

_EXTENSION: Final = rb';[\t ]*%b[\t ]*(?:=[\t ]*(?:%b|"%b")[\t ]*)?' % (TOKEN, TOKEN, QUOTED)
_SIZE: Final = re.compile(rb"([0-9A-Fa-f]+)(|[\t ]*(?:%b)+(?<![\t ]))" % _EXTENSION)
"""A size and its extensions. Blanks belong to what is before them, so that there is one way to read a line; none may
be the last. An empty alternative costs less than an optional group: 2,709 instructions for `1f40`, not 3,286 (CPython
3.11.7)."""

LINE_LIMIT: Final = 4096
"""Longest line of a chunk size with its extensions. Chosen; no evidence: nobody is known to send extensions."""

SIZE_DIGITS: Final = 15
"""Digits of the largest chunk, so that it fits into 64 bits whoever counts."""

_IN_SIZE, _IN_DATA, _IN_END, _IN_TRAILER = range(4)


class ChunkedBody:
    """A decoder for one body of at most `limit` bytes.

    Extensions and trailer fields are checked and dropped: no trailer may pass for a header field. Each kind may take
    `extra_limit` bytes of a body, so that nobody sends a kilobyte of extensions with every byte.
    """

    __slots__ = ("_extension_limit", "_left", "_limit", "_remaining", "_state", "_trailer_limit", "rest", "taken")

    def __init__(self, limit: int, extra_limit: int) -> None:
        self._limit = limit
        self._state = _IN_SIZE
        self._left = b""
        self._remaining = 0
        self._extension_limit = self._trailer_limit = extra_limit
        self.taken = 0
        """Bytes of the body that have come."""
        self.rest: bytes | None = None
        """After the last chunk: the bytes that follow the body."""

    def feed(self, data: bytes) -> bytes:
        """The body's bytes in `data`; when the body ends in it, `rest` is set. RequestRejected if it breaks a rule.

        A chunk that would pass the limit is refused by its size, before it comes.
        """
        data = self._left + data if self._left else data
        parts: list[bytes] = []
        at = 0
        while self.rest is None:
            if self._state == _IN_DATA:
                part = data[at : at + self._remaining]
                parts.append(part)
                at += len(part)
                self._remaining -= len(part)
                self.taken += len(part)
                if self._remaining:
                    break
                self._state = _IN_END
            end = self._line_end(data, at)
            if end < 0:
                break
            line = data[at:end]
            at = end + 2
            if self._take(line):
                self.rest = data[at:]
        self._left = data[at:] if self.rest is None else b""
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def _line_end(self, data: bytes, at: int) -> int:
        """Where the line that begins at `at` ends, or -1 if that is still to come."""
        limit = self._trailer_limit if self._state == _IN_TRAILER else LINE_LIMIT
        stop = at + limit + 2
        end = data.find(b"\r\n", at, stop)
        if end < 0:
            last = min(len(data), stop) - 1
            if data.find(b"\n", at, stop) >= 0 or 0 <= data.find(b"\r", at, stop) < last:
                raise RequestRejected(400, "malformed line ends")
            if self._state == _IN_END and data[at : at + 1] not in (b"", b"\r"):
                raise RequestRejected(400, "malformed chunk")
            if len(data) >= stop:
                if self._state == _IN_TRAILER:
                    raise RequestRejected(431, "trailer fields too large")
                raise RequestRejected(400, "chunk line too long")
        return end

    def _take(self, line: bytes) -> bool:
        """Go on by one line without its CRLF; True if it was the body's last."""
        if self._state == _IN_SIZE:
            size = _SIZE.fullmatch(line)
            if size is None:
                raise RequestRejected(400, "malformed chunk size")
            if len(size[1]) > SIZE_DIGITS:
                raise RequestRejected(413, "chunk size beyond every body")
            self._extension_limit -= len(size[2])
            if self._extension_limit < 0:
                raise RequestRejected(400, "chunk extensions too large")
            self._remaining = int(size[1], 16)
            if self.taken + self._remaining > self._limit:
                raise body_too_large()
            self._state = _IN_DATA if self._remaining else _IN_TRAILER
        elif self._state == _IN_END:
            if line:
                raise RequestRejected(400, "malformed chunk")
            self._state = _IN_SIZE
        elif not line:
            return True
        elif FIELD_LINE.fullmatch(line) is None:
            raise RequestRejected(400, "malformed trailer field")
        else:
            self._trailer_limit -= len(line) + 2
            if self._trailer_limit < 0:
                raise RequestRejected(431, "trailer fields too large")
        return False
