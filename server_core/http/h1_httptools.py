"""Request heads by httptools (llhttp): the default header parser.

httptools sees the head alone, one request at a time. Bodies are framed by our own code, so that an Upgrade which is
not taken can never make the parser skip a body, and `Connection: close` cannot make it swallow one.
"""

from __future__ import annotations

from typing import Final

import httptools

from server_core.http.h1_rules import REMEMBERED, SPECIAL, check_line_ends, special_fields
from server_core.http.wire import Fields, Refused

_LOWERED: dict[bytes, bytes] = {}
_KNOWN: dict[bytes, bool] = {}
_PROBE: Final = b" / HTTP/1.1\r\nhost: x\r\n\r\n"


class HttptoolsHeaders:
    """The HeaderParser over httptools; llhttp knows only the methods it lists."""

    __slots__ = ("_feed", "_fields", "special")

    def __init__(self) -> None:
        self.special: Fields = []
        self._fields: Fields = []
        self.renew()

    def knows(self, method: bytes) -> bool:
        known = _KNOWN.get(method)
        if known is None:
            if len(_KNOWN) >= REMEMBERED:
                _KNOWN.clear()
            known = _KNOWN[method] = _is_parsed(method)
        return known

    def parse(self, head: bytes) -> Fields:
        fields: Fields = []
        self._fields = fields
        self.special = []
        try:
            self._feed(head)
        except httptools.HttpParserUpgrade:
            self.renew()
        except httptools.HttpParserError as error:
            # llhttp judges the framing fields itself and says nothing of why: the rules find the better status
            self.special = special_fields(head)
            self.renew()
            raise Refused(400, "malformed header fields") from error
        check_line_ends(head, len(fields))
        if b" \r\n" in head or b"\t\r\n" in head:
            self._strip()
        return fields

    def on_header(self, name: bytes, value: bytes) -> None:
        lowered = _LOWERED.get(name) or _lower(name)
        self._fields.append((lowered, value))
        if lowered in SPECIAL:
            self.special.append((lowered, value))

    def renew(self) -> None:
        self._feed = httptools.HttpRequestParser(self).feed_data

    def _strip(self) -> None:
        """llhttp leaves white space behind a value, which is no part of it (RFC 9112 section 5.1)."""
        self._fields[:] = [(name, value.strip(b" \t")) for name, value in self._fields]
        self.special = [(name, value.strip(b" \t")) for name, value in self.special]


def _lower(name: bytes) -> bytes:
    if len(_LOWERED) >= REMEMBERED:
        _LOWERED.clear()
    lowered = name.lower()
    if len(name) <= 64:
        _LOWERED[name] = lowered
    return lowered


class _Nobody:
    """A parser's protocol that listens to nothing."""


def _is_parsed(method: bytes) -> bool:
    try:
        httptools.HttpRequestParser(_Nobody()).feed_data(method + _PROBE)
    except httptools.HttpParserError:
        return False
    return True
