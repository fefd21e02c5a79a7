"""Responses as HTTP/1.1 bytes: head, framing, never two framings, never a desynchronised connection. No I/O.

The head is held until the first body event: then the length is often known, and head and body leave in one write.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from server_core.asgi.response_states import ResponseError
from server_core.http.message import RequestLine
from server_core.http1.response_head import NO_BLOCK, Defaults, ResponseHeadCache

CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"

JOIN_LIMIT: Final = 8192
"""Largest body that is copied behind its head; above it two buffers and one writev are cheaper. Measured: FAST_PATH,
2 cores, CPython 3.11, uvloop 0.23."""

_UNDECIDED, _COUNTED, _CHUNKED, _TRAILING, _UNTIL_CLOSE, _WITHOUT, _ENDED = range(7)


class H1Writer:
    """The writing half of one connection, one response after the other.

    start() and body() raise ResponseError for what may not go out. While `is_held` is true nothing has, and another
    response can be started instead; after that the connection must end.
    """

    __slots__ = ("_block", "_framing", "_heads", "_length", "_seen", "close", "is_held")

    def __init__(self, heads: ResponseHeadCache) -> None:
        self._heads = heads
        self._seen = heads.seen
        self._framing = _ENDED
        self._block = NO_BLOCK
        self._length = -1
        self.is_held = False
        """Whether a head waits, and nothing has gone out."""
        self.close = False
        """Whether this response is the connection's last: its head says so, or its end does."""

    @property
    def ends_by_close(self) -> bool:
        """Whether only the end of the connection ends the body, so that a cut must not look like an end."""
        return self._framing == _UNTIL_CLOSE

    @property
    def plain(self) -> bytes:
        """The status line and the fields of the head that was started last, without those that every response gets."""
        return self._block.plain

    @property
    def noted(self) -> tuple[object, ...]:
        """The fields that the response was started with, if they are kept."""
        return ()

    def start(self, status: object, headers: Iterable[object]) -> None:
        """Check and hold a response's head."""
        key: tuple[object, ...] = ()
        try:
            key = (status, *headers)
            block = self._seen[key]
        except KeyError:  # not seen yet
            block = None
        except TypeError as error:  # pairs that are lists, which have no hash; or no pairs at all
            if not key:
                raise ResponseError(f"headers: must be pairs of bytes, not {type(headers).__name__}") from error
            block = None
        # Not in the `except`: the KeyError holds the whole head with its cookies, and a traceback would show it
        self._block = block or self._heads.learn(key)
        self._framing = _UNDECIDED
        self.is_held = True

    def add(self, name: bytes, line: bytes) -> None:
        """Add a field to the held head, unless the application gave one of this name, one of the defaults'."""
        block = self._block
        if name not in block.given:
            self._block = block.with_line(line)

    def first(
        self, data: bytes, more: bool, line: RequestLine, keep_alive: bool, defaults: Defaults
    ) -> bytes | tuple[bytes, bytes]:
        """The head and the first part of the body, framed. `keep_alive` false makes this the last response."""
        block = self._block
        size = len(data)
        if block.is_plain and size == block.length and keep_alive and line.is_plain and not more and size <= JOIN_LIMIT:
            self.is_held = self.close = False
            self._framing = _ENDED
            if block.behind is not defaults:
                block.renew(defaults)
            return block.whole + data
        head = self._head(size, more, line, keep_alive, defaults)
        data = self.body(data, more)
        if len(data) > JOIN_LIMIT:
            return head, data
        return head + data

    def span(
        self, size: int, more: bool, line: RequestLine, keep_alive: bool, defaults: Defaults
    ) -> tuple[bytes, int, bytes]:
        """For `size` bytes of a body that do not come by here: what stands before them, how many of them are to go out,
        and what stands behind them."""
        head = self._head(size, more, line, keep_alive, defaults) if self.is_held else b""
        framing = self._framing
        if framing == _CHUNKED:
            before, behind = (b"%x\r\n" % size, b"\r\n") if size else (b"", b"")
            return head + before, size, behind + self.body(b"", more)
        if framing == _COUNTED:
            self._length -= size
            if self._length < 0 or (self._length and not more):
                raise self._miscounted()
        if not more and framing != _UNTIL_CLOSE:
            self._framing = _ENDED
        return head, 0 if framing == _WITHOUT else size, b""

    def _head(self, size: int, more: bool, line: RequestLine, keep_alive: bool, defaults: Defaults) -> bytes:
        """The head of a response whose body begins with `size` bytes; from now on it is not held any more."""
        block = self._block
        lines = [block.plain, *self._frame(size, more, line)]
        self.close = block.close or not keep_alive or self._framing == _UNTIL_CLOSE
        if self.close:
            lines.append(b"connection: close\r\n")
        elif line.version == "1.0":
            lines.append(b"connection: keep-alive\r\n")
        lines.append(defaults.without(block.given) if block.given else defaults.end)
        self.is_held = False
        return b"".join(lines)

    def _frame(self, size: int, more: bool, line: RequestLine) -> tuple[bytes, ...]:
        """Choose how the body is framed, and say so (RFC 9112 section 6.3, seen from the server)."""
        block = self._block
        length = block.length
        if block.status in (204, 304) or line.method == "HEAD":
            self._framing = _WITHOUT
            if block.status == 204:
                return ()  # RFC 9110 8.6: "MUST NOT send a Content-Length header field in any response with ... 204"
            if length < 0 and block.status != 304:
                if more or (block.coded and not size):  # an empty body says nothing of what GET would be sent
                    return (b"transfer-encoding: chunked\r\n",) if line.version == "1.1" else ()
                length = size
            return (b"content-length: %d\r\n" % length,) if length >= 0 else ()
        if length < 0 and not more:
            length = size
        if length >= 0:
            if size > length or (not more and size < length):
                raise ResponseError(f"the body has {size} bytes, content-length says {length}")
            self._framing = _COUNTED
            self._length = length
            return (b"content-length: %d\r\n" % length,)
        if line.version == "1.1":
            self._framing = _CHUNKED
            return (b"transfer-encoding: chunked\r\n",)
        self._framing = _UNTIL_CLOSE
        return ()

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
                raise self._miscounted()
        elif framing == _TRAILING:
            data = b"\r\n"
        elif framing == _WITHOUT:
            data = b""
        if not more and framing != _UNTIL_CLOSE:
            self._framing = _ENDED
        return data

    def _miscounted(self) -> ResponseError:
        what = "shorter" if self._length > 0 else "longer"
        return ResponseError(f"the body is {what} than its content-length by {abs(self._length)} bytes")

    def trailers(self, lines: bytes) -> bytes:
        """Trailer fields, framed; nothing where the framing has no place for them. body(b"", False) ends them."""
        if self._framing == _CHUNKED and lines:
            self._framing = _TRAILING
            return b"0\r\n" + lines
        return lines if self._framing == _TRAILING else b""


class NotingWriter(H1Writer):
    """Keeps the fields of the response, for an access log whose format asks for some."""

    __slots__ = ("_noted",)

    def __init__(self, heads: ResponseHeadCache) -> None:
        super().__init__(heads)
        self._noted: tuple[object, ...] = ()

    def start(self, status: object, headers: Iterable[object]) -> None:
        fields = tuple(headers) if isinstance(headers, Iterable) else headers
        super().start(status, fields)
        self._noted = fields

    @property
    def noted(self) -> tuple[object, ...]:
        return self._noted


FAILURE: Final = b"Internal Server Error\n"
"""All that a client learns of an application's failure."""

PLAIN_TEXT: Final = (b"content-type", b"text/plain; charset=utf-8")

NO_LINE: Final = RequestLine("GET", "1.1", "-", {}, {})
"""Stands for the request line of a request that is refused."""
