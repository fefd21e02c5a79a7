"""Responses as HTTP/1.1 bytes: head, framing, never two framings, never a desynchronised connection. No I/O.

The head is held until the first body event: then the length is often known, and head and body leave in one write.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from server_core.http.response import (
    CODING,
    CONNECTION,
    DATE,
    KNOWN_LINES,
    LENGTH,
    PLAIN,
    STATUS_LINES,
    ResponseError,
    learn_line,
    status_line,
)
from server_core.http.wire import RequestLine

CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"

JOIN_LIMIT: Final = 8192
"""Largest body that is copied behind its head; above it two buffers and one writev are cheaper. Measured: FAST_PATH,
2 cores, CPython 3.11, uvloop 0.23."""

_UNDECIDED, _COUNTED, _CHUNKED, _UNTIL_CLOSE, _WITHOUT, _ENDED = range(6)


class H1Writer:
    """The writing half of one connection, one response after the other.

    start() and body() raise ResponseError for what may not go out. While `is_held` is true nothing has, and another
    response can be started instead; after that the connection must end.
    """

    __slots__ = ("_chunked", "_framing", "_has_date", "_has_server", "_length", "_lines", "_status", "close", "is_held")

    def __init__(self) -> None:
        self._framing = _ENDED
        self._lines: list[bytes] = []
        self._length = -1
        self._chunked = self._has_date = self._has_server = False
        self._status = 0
        self.is_held = False
        """Whether a head waits, and nothing has gone out."""
        self.close = False
        """Whether this response is the connection's last: its head says so, or its end does."""

    @property
    def ends_by_close(self) -> bool:
        """Whether only the end of the connection ends the body, so that a cut must not look like an end."""
        return self._framing == _UNTIL_CLOSE

    def start(self, status: object, headers: Iterable[object]) -> None:
        """Check and hold a response's head."""
        line = STATUS_LINES.get(status)  # type: ignore[call-overload]  # whatever it is: not found, and checked below
        lines = [line if line is not None else status_line(status)]
        length = -1
        self._chunked = self._has_date = self._has_server = self.close = False
        for pair in headers:
            try:
                kind, text, number = KNOWN_LINES[pair]  # type: ignore[index]  # as above
            except (KeyError, TypeError):  # unknown, or a list, which frameworks use for pairs and has no hash
                kind, text, number = learn_line(pair)
            if kind == PLAIN:
                lines.append(text)
            elif kind == LENGTH:
                if length >= 0:
                    raise ResponseError("headers: content-length is given twice")
                length = number
            else:
                self._start_special(kind, text, number, lines)
        if self._chunked and length >= 0:
            raise ResponseError("headers: content-length and transfer-encoding exclude each other")
        self._lines = lines
        self._length = length
        self._status = status  # type: ignore[assignment]  # an int, or status_line() had raised
        self._framing = _UNDECIDED
        self.is_held = True

    def _start_special(self, kind: int, text: bytes, number: int, lines: list[bytes]) -> None:
        if kind == CODING:
            self._chunked = True
        elif kind == CONNECTION:
            self.close = self.close or bool(number)
        else:
            lines.append(text)
            if kind == DATE:
                self._has_date = True
            else:
                self._has_server = True

    def first(
        self, data: bytes, more: bool, line: RequestLine, keep_alive: bool, date: bytes, server: bytes
    ) -> bytes | tuple[bytes, bytes]:
        """The head and the first part of the body, framed. `keep_alive` false makes this the last response."""
        lines = self._lines
        length = self._length
        if length == len(data) and not more and line.method != "HEAD" and self._status not in (204, 304):
            lines.append(b"content-length: %d\r\n" % length)
            self._framing = _ENDED
        else:
            self._frame(data, more, line)
        if self.close or not keep_alive or self._framing == _UNTIL_CLOSE:
            self.close = True
            lines.append(b"connection: close\r\n")
        elif line.version == "1.0":
            lines.append(b"connection: keep-alive\r\n")
        if not self._has_date:
            lines.append(date)
        if not self._has_server:
            lines.append(server)
        lines.append(b"\r\n")
        self.is_held = False
        if self._framing != _ENDED:
            data = self.body(data, more)
        if len(data) > JOIN_LIMIT:
            return b"".join(lines), data
        lines.append(data)
        return b"".join(lines)

    def _frame(self, data: bytes, more: bool, line: RequestLine) -> None:
        """Choose how the body is framed (RFC 9112 section 6.3, seen from the server)."""
        status, lines, method, version = self._status, self._lines, line.method, line.version
        if status in (204, 304) or method == "HEAD":
            self._framing = _WITHOUT
            if status == 204:
                return  # RFC 9110 8.6: "MUST NOT send a Content-Length header field in any response with ... 204"
            if self._length < 0 and method == "HEAD" and status != 304:
                if more or self._chunked:
                    lines.extend([b"transfer-encoding: chunked\r\n"] if version == "1.1" else ())
                    return
                self._length = len(data)
            if self._length >= 0:
                lines.append(b"content-length: %d\r\n" % self._length)
            return
        if self._length < 0 and not more and not self._chunked:
            self._length = len(data)
        if self._length >= 0:
            if len(data) > self._length or (not more and len(data) < self._length):
                raise ResponseError(f"the body has {len(data)} bytes, content-length says {self._length}")
            self._framing = _COUNTED
            lines.append(b"content-length: %d\r\n" % self._length)
        elif version == "1.1":
            self._framing = _CHUNKED
            lines.append(b"transfer-encoding: chunked\r\n")
        else:
            self._framing = _UNTIL_CLOSE

    def body(self, data: bytes, more: bool) -> bytes:
        """A further part of the body, framed."""
        framing = self._framing
        if framing == _CHUNKED:
            data = b"%x\r\n%b\r\n" % (len(data), data) if data else b""
            if not more:
                data += b"0\r\n\r\n"
        elif framing == _COUNTED:
            self._length -= len(data)
            if self._length < 0 or (self._length and not more):
                raise ResponseError(
                    f"the body is {'shorter' if self._length > 0 else 'longer'} than its content-length "
                    f"by {abs(self._length)} bytes"
                )
        elif framing == _WITHOUT:
            data = b""
        if not more and framing != _UNTIL_CLOSE:
            self._framing = _ENDED
        return data
