"""Responses as HTTP/1.1 bytes: head, framing, never two framings, never a desynchronised connection. No I/O.

The head is held until the first body event: then the length is often known, and head and body leave in one write.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Sequence
from typing import Final, NamedTuple, cast

from server_core.http.h1_rules import REMEMBERED
from server_core.http.phases import ResponseError
from server_core.http.response import CODING, CONNECTION, KNOWN_LINES, LENGTH, STATUS_LINES, learn_line, status_line
from server_core.http.wire import RequestLine

CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"

JOIN_LIMIT: Final = 8192
"""Largest body that is copied behind its head; above it two buffers and one writev are cheaper. Measured: FAST_PATH,
2 cores, CPython 3.11, uvloop 0.23."""

BLOCK_LIMIT: Final = 1024
"""Longest head that is remembered, in bytes; REMEMBERED of them are at most 2 MB. Chosen; no evidence."""

_UNDECIDED, _COUNTED, _CHUNKED, _TRAILING, _UNTIL_CLOSE, _WITHOUT, _ENDED = range(7)


class Block(NamedTuple):
    """A status and headers, checked, as bytes: most responses of an application have one of a few."""

    plain: bytes
    counted: bytes
    """The same with its content-length, if the application gave one."""
    length: int
    """The content-length, or -1."""
    status: int
    chunked: bool
    close: bool
    given: frozenset[bytes]
    """Names of the defaults that the application gave itself."""
    is_plain: bool
    """Whether nothing but the length has to be compared before it can go out."""


class Defaults(NamedTuple):
    """The fields that every response gets unless the application gave one of the name."""

    lines: tuple[tuple[bytes, bytes], ...]
    """Lower-cased names and lines."""
    end: bytes
    """All the lines, and the end of the head."""

    def without(self, names: Container[bytes]) -> bytes:
        """The lines but those of these names, and the end of the head."""
        return b"".join(line for name, line in self.lines if name not in names) + b"\r\n"


def defaults_of(lines: Iterable[tuple[bytes, bytes]]) -> Defaults:
    """Defaults from names and lines."""
    lines = tuple(lines)
    return Defaults(lines, b"".join(line for _, line in lines) + b"\r\n")


class Heads:
    """The heads that an application's responses have had; one for all the connections of a server."""

    __slots__ = ("_fixed", "_names", "seen")

    def __init__(self, fixed: Sequence[tuple[bytes, bytes]]) -> None:
        """`fixed` are lower-cased names and lines of the defaults; Date comes to them."""
        self._fixed = fixed
        self._names = frozenset((b"date", *(name for name, _ in fixed)))
        self.seen: dict[tuple[object, ...], Block] = {}
        """What learn() would find at once; read directly where a call matters."""

    def learn(self, key: tuple[object, ...]) -> Block:
        """Check a status and headers, and remember them; ResponseError if they may not go out."""
        block = _checked(key, self._names)
        if len(block.plain) <= BLOCK_LIMIT:
            if len(self.seen) >= REMEMBERED:
                self.seen.clear()
            try:
                self.seen[key] = block
            except TypeError:  # lists have no hash
                return block
        return block

    def defaults(self, date: bytes) -> Defaults:
        """What is sent besides from now on; without a date if that is empty."""
        dated = [(b"date", b"date: %b\r\n" % date)] if date else []
        return defaults_of([*dated, *self._fixed])


class H1Writer:
    """The writing half of one connection, one response after the other.

    start() and body() raise ResponseError for what may not go out. While `is_held` is true nothing has, and another
    response can be started instead; after that the connection must end.
    """

    __slots__ = ("_block", "_framing", "_heads", "_length", "_seen", "close", "is_held")

    def __init__(self, heads: Heads) -> None:
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

    def start(self, status: object, headers: Iterable[object]) -> None:
        """Check and hold a response's head."""
        key = (status, *headers)
        try:
            self._block = self._seen[key]
        except (KeyError, TypeError):  # not seen yet; or pairs that are lists, which have no hash
            self._block = self._heads.learn(key)
        self._framing = _UNDECIDED
        self.is_held = True

    def first(
        self, data: bytes, more: bool, line: RequestLine, keep_alive: bool, defaults: Defaults
    ) -> bytes | tuple[bytes, bytes]:
        """The head and the first part of the body, framed. `keep_alive` false makes this the last response."""
        block = self._block
        size = len(data)
        if block.is_plain and size == block.length and keep_alive and line.is_plain and not more and size <= JOIN_LIMIT:
            self.is_held = self.close = False
            self._framing = _ENDED
            return block.counted + defaults.end + data
        lines = [block.plain, *self._frame(data, more, line)]
        self.close = block.close or not keep_alive or self._framing == _UNTIL_CLOSE
        if self.close:
            lines.append(b"connection: close\r\n")
        elif line.version == "1.0":
            lines.append(b"connection: keep-alive\r\n")
        lines.append(defaults.without(block.given) if block.given else defaults.end)
        self.is_held = False
        data = self.body(data, more)
        if len(data) > JOIN_LIMIT:
            return b"".join(lines), data
        lines.append(data)
        return b"".join(lines)

    def _frame(self, data: bytes, more: bool, line: RequestLine) -> tuple[bytes, ...]:
        """Choose how the body is framed, and say so (RFC 9112 section 6.3, seen from the server)."""
        block = self._block
        length = block.length
        if block.status in (204, 304) or line.method == "HEAD":
            self._framing = _WITHOUT
            if block.status == 204:
                return ()  # RFC 9110 8.6: "MUST NOT send a Content-Length header field in any response with ... 204"
            if length < 0 and block.status != 304:
                if more or block.chunked:
                    return (b"transfer-encoding: chunked\r\n",) if line.version == "1.1" else ()
                length = len(data)
            return (b"content-length: %d\r\n" % length,) if length >= 0 else ()
        if length < 0 and not more and not block.chunked:
            length = len(data)
        if length >= 0:
            if len(data) > length or (not more and len(data) < length):
                raise ResponseError(f"the body has {len(data)} bytes, content-length says {length}")
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
                raise ResponseError(
                    f"the body is {'shorter' if self._length > 0 else 'longer'} than its content-length "
                    f"by {abs(self._length)} bytes"
                )
        elif framing == _TRAILING:
            data = b"\r\n"
        elif framing == _WITHOUT:
            data = b""
        if not more and framing != _UNTIL_CLOSE:
            self._framing = _ENDED
        return data

    def trailers(self, lines: bytes) -> bytes:
        """Trailer fields, framed; nothing where the framing has no place for them. body(b"", False) ends them."""
        if self._framing == _CHUNKED and lines:
            self._framing = _TRAILING
            return b"0\r\n" + lines
        return lines if self._framing == _TRAILING else b""


NO_BLOCK: Final = Block(b"", b"", -1, 0, False, False, frozenset(), False)
"""Before the first response there is none."""


def _checked(key: tuple[object, ...], defaults: frozenset[bytes]) -> Block:
    status = key[0]
    text = [status_line(status) if not isinstance(status, int) else STATUS_LINES.get(status) or status_line(status)]
    kinds: set[int] = set()
    length = -1
    close = False
    for pair in key[1:]:
        try:
            kind, line, number = KNOWN_LINES[pair]  # type: ignore[index]  # whatever it is: not found, and checked
        except (KeyError, TypeError):  # as in start()
            kind, line, number = learn_line(pair)
        if kind == LENGTH:
            if length >= 0:
                raise ResponseError("headers: content-length is given twice")
            length = number
        elif kind == CONNECTION:
            close = close or bool(number)
        elif kind != CODING:
            text.append(line)
        kinds.add(kind)
    if CODING in kinds and length >= 0:
        raise ResponseError("headers: content-length and transfer-encoding exclude each other")
    given = defaults.intersection(cast("tuple[bytes, bytes]", pair)[0].lower() for pair in key[1:])
    plain = b"".join(text)
    is_plain = length >= 0 and not close and not given and status not in (204, 304)
    counted = plain + b"content-length: %d\r\n" % length
    return Block(plain, counted, length, int(plain[9:12]), CODING in kinds, close, given, is_plain)


FAILURE: Final = b"Internal Server Error\n"
"""All that a client learns of an application's failure."""

PLAIN_TEXT: Final = (b"content-type", b"text/plain; charset=utf-8")

NO_LINE: Final = RequestLine("GET", "1.1", None, True, "-", {}, {})
"""Stands for the request line of a request that is refused."""
