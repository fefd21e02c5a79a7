"""Framing: a stretch of a file is framed as its bytes would be, whatever comes before it and after it."""

from __future__ import annotations

from itertools import product

import pytest

from server_core.asgi.response_states import ResponseError
from server_core.http.message import RequestLine
from server_core.http1.response_head import ResponseHeadCache
from server_core.http1.writer import H1Writer

LINES = [RequestLine(method, version, "/", {}, {}) for method, version in product(("GET", "HEAD"), ("1.1", "1.0"))]
HEADERS: list[list[tuple[bytes, bytes]]] = [
    [],
    [(b"content-length", b"10")],
    [(b"transfer-encoding", b"chunked")],
    [(b"connection", b"close")],
]
PARTS = [(10,), (0,), (4, 6), (4, 0, 6), (10, 0), (3, 3), (20,), (4, 20)]


def coded(coding: bytes) -> tuple[bytes, bytes]:
    return b"Transfer-Encoding", coding


class Written:
    """What became of one response: its bytes, and whether the connection goes on."""

    def __init__(self) -> None:
        self.writer = H1Writer(ResponseHeadCache([(b"server", b"server: x\r\n")]))
        self.defaults = ResponseHeadCache([(b"server", b"server: x\r\n")]).defaults(b"today")
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


@pytest.mark.parametrize("coding", [b"chunked", b"gzip, chunked", b"identity", b""])
def test_a_transfer_coding_of_the_applications_changes_no_byte(coding: bytes) -> None:
    for line, parts in product(LINES, PARTS):
        if line.method == "GET":
            named, unnamed = (Written().outcome(200, fields, line, parts, 0) for fields in ([coded(coding)], []))
            assert named == unnamed, (line.version, parts)


def test_a_head_alone_does_not_say_that_a_body_of_unknown_length_is_empty() -> None:
    """RFC 9110 8.6: a Content-Length in an answer to HEAD is that of the answer to GET."""
    head = next(line for line in LINES if line.method == "HEAD" and line.version == "1.1")
    out, *_ = Written().outcome(200, [coded(b"chunked")], head, (0,), 0)
    assert b"content-length" not in out
    assert b"transfer-encoding: chunked\r\n" in out


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
