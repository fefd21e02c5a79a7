"""Text that a client has chosen, made harmless: it can end no line, no quotes, and steer no terminal."""

from __future__ import annotations

from collections.abc import Callable
from json.encoder import encode_basestring_ascii
from typing import Final

NOTHING: Final = "-"
"""What stands where there is nothing to tell."""

TEXT_LIMIT: Final = 8192
"""Characters of one text that get into a line. Precedent: the request line's default limit."""

REMEMBERED: Final = 1024
"""Texts that are remembered; then all are forgotten. Chosen; no evidence: the same browsers and pages come again."""

REMEMBERED_LENGTH: Final = 256
"""Longest text that is remembered, so that all of them take half a megabyte at most."""


def escaped(value: object) -> str:
    """For a line of text: a backslash goes before quotes and backslashes, what is not visible ASCII becomes \\xhh."""
    if value is None:
        return NOTHING
    text = as_text(value)[:TEXT_LIMIT]
    if text.isascii() and text.isprintable() and '"' not in text and "\\" not in text:
        return text
    return "".join(map(_escape, text))


def quoted(value: object) -> str:
    """For JSON: a string in its quotes, or null."""
    return "null" if value is None else quote(as_text(value)[:TEXT_LIMIT])


quote: Final[Callable[[str], str]] = encode_basestring_ascii
"""A JSON string in ASCII; the json module's own, in C where there is one."""


def as_text(value: object) -> str:
    """Bytes are header values; anything else is what an application has put in place of one."""
    return value.decode("latin-1") if isinstance(value, bytes) else str(value)


def _escape(sign: str) -> str:
    if sign in '"\\':
        return "\\" + sign
    return sign if " " <= sign <= "~" else sign.encode("unicode_escape").decode("ascii")


class Harmless(dict[object, str]):
    """Texts and what they are in a line; looked up without a call where they are known, which takes a fifth as long."""

    def __init__(self, make: Callable[[object], str]) -> None:
        super().__init__()
        self._make = make

    def __missing__(self, value: object) -> str:
        text = self._make(value)
        if len(text) <= REMEMBERED_LENGTH:
            if len(self) >= REMEMBERED:
                self.clear()
            self[value] = text
        return text


ESCAPED: Final = Harmless(escaped)
QUOTED: Final = Harmless(quoted)
