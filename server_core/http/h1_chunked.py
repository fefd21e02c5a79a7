"""The chunked transfer coding taken off a request body, strictly and within bounds (RFC 9112 section 7.1)."""

from __future__ import annotations

import re
from typing import Final

from server_core.http.h1_rules import FIELD_LINE
from server_core.http.wire import Refused

_SIZE: Final = re.compile(rb"([0-9A-Fa-f]{1,15})(?:;[\t\x20-\x7e\x80-\xff]*)?")

LINE_LIMIT: Final = 4096
"""Longest line of a chunk size with its extensions. Chosen; no evidence: nobody is known to send extensions."""

_IN_SIZE, _IN_DATA, _IN_END, _IN_TRAILER = range(4)


class ChunkedBody:
    """A decoder for one body. Trailer fields are checked and dropped: none may pass for a header field."""

    __slots__ = ("_left", "_remaining", "_state", "_trailer_limit", "rest")

    def __init__(self, trailer_limit: int) -> None:
        self._state = _IN_SIZE
        self._left = b""
        self._remaining = 0
        self._trailer_limit = trailer_limit
        self.rest: bytes | None = None
        """After the last chunk: the bytes that follow the body."""

    def feed(self, data: bytes) -> bytes:
        """The body's bytes in `data`; when the body ends in it, `rest` is set. Refused(400) if it is malformed."""
        data = self._left + data if self._left else data
        parts: list[bytes] = []
        at = 0
        while self.rest is None:
            if self._state == _IN_DATA:
                part = data[at : at + self._remaining]
                parts.append(part)
                at += len(part)
                self._remaining -= len(part)
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
        end = data.find(b"\r\n", at, at + limit + 2)
        if end < 0:
            if len(data) - at > limit:
                raise Refused(400, "chunk line too long")
            if data.find(b"\n", at) >= 0 or (self._state == _IN_END and data[at : at + 1] not in (b"", b"\r")):
                raise Refused(400, "malformed chunk")
        return end

    def _take(self, line: bytes) -> bool:
        """Go on by one line without its CRLF; True if it was the body's last."""
        if self._state == _IN_SIZE:
            size = _SIZE.fullmatch(line)
            if size is None:
                raise Refused(400, "malformed chunk size")
            self._remaining = int(size[1], 16)
            self._state = _IN_DATA if self._remaining else _IN_TRAILER
        elif self._state == _IN_END:
            if line:
                raise Refused(400, "malformed chunk")
            self._state = _IN_SIZE
        elif not line:
            return True
        elif FIELD_LINE.fullmatch(line) is None:
            raise Refused(400, "malformed trailer field")
        else:
            self._trailer_limit -= len(line) + 2
            if self._trailer_limit < 0:
                raise Refused(431, "trailer fields too large")
        return False
