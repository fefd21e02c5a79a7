"""What a response may hold: status, fields, trailers and links, checked on their way to bytes. No I/O.

The head's lines repeat from response to response, so each (name, value) pair is checked once and remembered as the
bytes that go out.
"""

from __future__ import annotations

import http
import re
from collections.abc import Iterable
from typing import Final, cast

from server_core.asgi.response_states import ResponseError
from server_core.http.fields import REMEMBERED, REMEMBERED_BYTES, StatusText
from server_core.http.grammar import TOKEN
from server_core.http1.framing import LENGTH_DIGITS

PLAIN, LENGTH, CODING, CONNECTION = range(4)
"""What a response field means to the writer; PLAIN is nothing. CODING is dropped: ASGI, Response Start, lets an
application send Transfer-Encoding, "but the server must ignore it"."""

_KINDS: Final = {
    b"content-length": LENGTH,
    b"transfer-encoding": CODING,
    b"connection": CONNECTION,
}
_NAME: Final = re.compile(TOKEN)
_LINK: Final = re.compile(rb"[ \t]*<[^<>]*>")
_BAD_VALUE: Final = re.compile(rb"[\x00-\x08\x0a-\x1f\x7f]")

_TOKEN_BEFORE: Final = re.compile(TOKEN + rb"|")

Line = tuple[int, bytes, int]
KNOWN_LINES: dict[tuple[bytes, bytes], Line] = {}
"""Checked pairs: what each is, its bytes, and its number if it has one. Looked up by the writer itself, which saves a
call per field."""


def learn_line(pair: object) -> Line:
    """What a response field is and its bytes; ResponseError if it may not go out."""
    if not isinstance(pair, (tuple, list)) or len(pair) != 2:
        raise ResponseError(f"headers: each must be a pair of bytes, not {_kind_of(pair)}")
    name, value = pair
    if not isinstance(name, bytes) or not isinstance(value, bytes):
        raise ResponseError(
            f"headers: names and values must be bytes, not {_kind_of(name)} and {_kind_of(value)}{_named(name)}"
        )
    if _NAME.fullmatch(name) is None:
        raise ResponseError(f"headers: {_token(name)!r} and then {_behind(name)!r} is not a field name")
    if (bad := _BAD_VALUE.search(value)) is not None:
        raise ResponseError(
            f"headers: the value of {name!r} contains a control character: {bad[0]!r} at byte {bad.start()}"
        )
    kind = _KINDS.get(name.lower(), PLAIN)
    number = _length(value) if kind == LENGTH else int(kind == CONNECTION and b"close" in value.lower())
    line = (kind, b"%b: %b\r\n" % (name, value), number)
    if len(name) + len(value) <= REMEMBERED_BYTES:
        if len(KNOWN_LINES) >= REMEMBERED:
            KNOWN_LINES.clear()
        KNOWN_LINES[name, value] = line
    return line


def _length(value: bytes) -> int:
    """The one number of a content-length. Code that joins repeated fields makes a list of it, which counts as one if
    all its members are the same (RFC 9110 8.6)."""
    members = {member.strip(b" \t") for member in value.split(b",")}
    number = members.pop()
    if members or not number.isdigit() or len(number) > LENGTH_DIGITS:
        raise ResponseError(f"headers: content-length must be digits, one number, not {value!r}")
    return int(number)


# What is refused is logged with the error's text, and fields hold cookies and tokens: an error names the field and what
# is wrong with it, never its value.


def _kind_of(value: object) -> str:
    """A value's type in words, and of a sequence its length."""
    size = f" of {len(value)}" if isinstance(value, (tuple, list)) else ""
    return "None" if value is None else f"{type(value).__name__}{size}"


def _token(name: bytes) -> bytes:
    """What of a refused name would be one: a whole line may have been given as its name."""
    return cast("re.Match[bytes]", _TOKEN_BEFORE.match(name))[0]


def _behind(name: bytes) -> bytes:
    """The first byte of a refused name that no name may hold."""
    end = len(_token(name))
    return name[end : end + 1]


def _named(name: object) -> str:
    """Which field it is about, as far as that can be told."""
    if isinstance(name, str):
        name = name.encode("latin-1", "replace")
    return f" (field {_token(name)!r})" if isinstance(name, bytes) else ""


NO_TRAILERS: Final = frozenset(
    (
        *(b"connection", b"content-length", b"keep-alive", b"proxy-connection", b"te", b"trailer"),
        *(b"transfer-encoding", b"upgrade"),  # framing, and the connection
        *(b"cache-control", b"expect", b"host", b"max-forwards", b"pragma", b"range"),  # routing, controls
        *(b"if-match", b"if-modified-since", b"if-none-match", b"if-range", b"if-unmodified-since"),
        *(b"authorization", b"cookie", b"proxy-authenticate", b"proxy-authorization", b"set-cookie"),
        *(b"www-authenticate", b"age", b"date", b"expires", b"location", b"retry-after", b"vary", b"warning"),
        *(b"content-encoding", b"content-range", b"content-type"),  # how to read the body
    )
)
"""RFC 9110 6.5.1: a sender must not generate a trailer field unless its definition permits it, and "many fields cannot
be processed outside the header section". These are the kinds named there and in RFC 7230 4.1.2."""


def trailer_lines(fields: object) -> bytes:
    """Trailer fields as bytes; ResponseError if one may not go out."""
    if not isinstance(fields, Iterable):
        raise ResponseError(f"headers: must be pairs of bytes, not {_kind_of(fields)}")
    lines = []
    for pair in fields:
        lines.append(learn_line(pair)[1])
        if pair[0].lower() in NO_TRAILERS:
            raise ResponseError(f"headers: {pair[0]!r} must not be sent behind the body it is needed for")
    return b"".join(lines)


def early_hints(links: object) -> bytes:
    """A 103 with these links (RFC 8297), nothing without any; ResponseError if one may not go out."""
    if not isinstance(links, Iterable) or isinstance(links, (bytes, str)):
        raise ResponseError(f"links: must be several values of bytes, not {_kind_of(links)}")
    lines = []
    for link in links:
        if not isinstance(link, bytes):
            raise ResponseError(f"links: each must be bytes, not {_kind_of(link)}")
        if _LINK.match(link) is None or _BAD_VALUE.search(link):
            raise ResponseError(f"links: each must be like <URL>; rel=preload (RFC 8288), not {len(link)} other bytes")
        lines.append(b"link: %b\r\n" % link)
    return b"HTTP/1.1 103 Early Hints\r\n%b\r\n" % b"".join(lines) if lines else b""


def status_line(status: object) -> bytes:
    """The status line's bytes; ResponseError if it is no final status."""
    if isinstance(status, StatusText):
        return b"HTTP/1.1 %b\r\n" % status
    if not isinstance(status, int) or not 200 <= status <= 999:
        raise ResponseError(f"status: must be a whole number from 200 to 999, not {status!r}")
    try:
        phrase = http.HTTPStatus(status).phrase
    except ValueError:
        phrase = ""
    return f"HTTP/1.1 {status} {phrase}\r\n".encode("ascii")


STATUS_LINES: Final = {int(status): status_line(int(status)) for status in http.HTTPStatus if status >= 200}
