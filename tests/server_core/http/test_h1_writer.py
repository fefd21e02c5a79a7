"""Framing: a stretch of a file is framed as its bytes would be, whatever comes before it and after it."""

from __future__ import annotations

from itertools import product

import pytest

from server_core.http.h1_heads import Heads
from server_core.http.h1_writer import H1Writer
from server_core.http.phases import ResponseError
from server_core.http.wire import RequestLine

LINES = [RequestLine(method, version, "/", {}, {}) for method, version in product(("GET", "HEAD"), ("1.1", "1.0"))]
HEADERS: list[list[tuple[bytes, bytes]]] = [
    [],
    [(b"content-length", b"10")],
    [(b"transfer-encoding", b"chunked")],
    [(b"connection", b"close")],
]
PARTS = [(10,), (0,), (4, 6), (4, 0, 6), (10, 0), (3, 3), (20,), (4, 20)]


class Written:
    """What became of one response: its bytes, and whether the connection goes on."""

    def __init__(self) -> None:
        self.writer = H1Writer(Heads([(b"server", b"server: x\r\n")]))
        self.defaults = Heads([(b"server", b"server: x\r\n")]).defaults(b"today")
        self.out = b""

    def take(self, size: int, more: bool, line: RequestLine, as_file: bool) -> None:
        data = b"x" * size
        if as_file:
            before, count, behind = self.writer.span(size, more, line, True, self.defaults)
            self.out += before + data[:count] + behind
        elif self.writer.is_held:
            first = self.writer.first(data, more, line, True, self.defaults)
            self.out += first if isinstance(first, bytes) else b"".join(first)
        else:
            self.out += self.writer.body(data, more)

    def outcome(
        self, status: int, headers: list[tuple[bytes, bytes]], line: RequestLine, parts: tuple[int, ...], files: int
    ) -> tuple[bytes, bool, bool, str]:
        self.writer.start(status, headers)
        error = ""
        try:
            for number, size in enumerate(parts):
                self.take(size, number < len(parts) - 1, line, bool(files >> number & 1))
        except ResponseError as raised:
            error = type(raised).__name__
        return self.out, self.writer.close, self.writer.ends_by_close, error


@pytest.mark.parametrize("status", [200, 204, 304])
@pytest.mark.parametrize("headers", HEADERS, ids=repr)
@pytest.mark.parametrize("line", LINES, ids=lambda line: f"{line.method} {line.version}")
def test_files_are_framed_as_their_bytes_would_be(
    status: int, headers: list[tuple[bytes, bytes]], line: RequestLine
) -> None:
    for parts in PARTS:
        as_bytes = Written().outcome(status, headers, line, parts, 0)
        for files in range(1, 1 << len(parts)):
            assert Written().outcome(status, headers, line, parts, files) == as_bytes, (parts, files)
