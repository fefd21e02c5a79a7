"""Which ASGI message is legal now, and what a response's head may contain. Tables, and the code that walks them.

The head's lines repeat from response to response, so each (name, value) pair is checked once and remembered as the
bytes that go out.
"""

from __future__ import annotations

import http
import re
from typing import Final

from server_core.http.h1_rules import REMEMBERED, REMEMBERED_BYTES, TOKEN

START, BODY = "http.response.start", "http.response.body"

AWAITING_START: Final = {START: True}
AWAITING_BODY: Final = {BODY: True}
COMPLETE: Final[dict[str, bool]] = {}
"""The phases of a response: the messages each takes."""

PHASE_NAMES: Final = ((AWAITING_START, "has not started"), (AWAITING_BODY, "has started"), (COMPLETE, "is complete"))


class ResponseError(RuntimeError):
    """The application broke ASGI or HTTP in its response: its own fault, told to it at the await of send()."""


def illegal(phase: dict[str, bool], kind: object) -> ResponseError:
    """What to raise for a message that the phase does not take."""
    described = next(text for known, text in PHASE_NAMES if known is phase)
    expected = " or ".join(phase) or "nothing more"
    return ResponseError(f"the response {described}: send() takes {expected} now, not {kind!r}")


PLAIN, LENGTH, CODING, CONNECTION = range(4)
"""What a response field means to the writer; PLAIN is nothing."""

_KINDS: Final = {
    b"content-length": LENGTH,
    b"transfer-encoding": CODING,
    b"connection": CONNECTION,
}
_NAME: Final = re.compile(TOKEN)
_BAD_VALUE: Final = re.compile(rb"[\x00-\x08\x0a-\x1f\x7f]")

Line = tuple[int, bytes, int]
KNOWN_LINES: dict[tuple[bytes, bytes], Line] = {}
"""Checked pairs: what each is, its bytes, and its number if it has one. Looked up by the writer itself, which saves a
call per field."""


def learn_line(pair: object) -> Line:
    """What a response field is and its bytes; ResponseError if it may not go out."""
    if not isinstance(pair, (tuple, list)) or len(pair) != 2:
        raise ResponseError(f"headers: each must be a pair of bytes, not {pair!r}")
    name, value = pair
    if not isinstance(name, bytes) or not isinstance(value, bytes):
        raise ResponseError(f"headers: names and values must be bytes, not {pair!r}")
    if _NAME.fullmatch(name) is None:
        raise ResponseError(f"headers: {name!r} is not a field name")
    if _BAD_VALUE.search(value):
        raise ResponseError(f"headers: the value of {name!r} contains a control character: {value!r}")
    kind = _KINDS.get(name.lower(), PLAIN)
    if kind == LENGTH and not (value.isdigit() and len(value) <= 18):
        raise ResponseError(f"headers: content-length must be digits, not {value!r}")
    if kind == CODING and value.strip().lower() != b"chunked":
        raise ResponseError(f"headers: transfer-encoding must be chunked, not {value!r}")
    number = int(value) if kind == LENGTH else int(kind == CONNECTION and b"close" in value.lower())
    line = (kind, b"%b: %b\r\n" % (name, value), number)
    if len(name) + len(value) <= REMEMBERED_BYTES:
        if len(KNOWN_LINES) >= REMEMBERED:
            KNOWN_LINES.clear()
        KNOWN_LINES[name, value] = line
    return line


def status_line(status: object) -> bytes:
    """The status line's bytes; ResponseError if it is no final status."""
    if not isinstance(status, int) or not 200 <= status <= 999:
        raise ResponseError(f"status: must be a whole number from 200 to 999, not {status!r}")
    try:
        phrase = http.HTTPStatus(status).phrase
    except ValueError:
        phrase = ""
    return f"HTTP/1.1 {status} {phrase}\r\n".encode("ascii")


STATUS_LINES: Final = {int(status): status_line(int(status)) for status in http.HTTPStatus if status >= 200}
