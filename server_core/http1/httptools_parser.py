"""Request heads by httptools (llhttp): the default header parser.

httptools sees the head alone, one request at a time. Bodies are framed by our own code, so that an Upgrade which is
not taken can never make the parser skip a body, and `Connection: close` cannot make it swallow one.
"""

from __future__ import annotations

from typing import Final

import httptools

from server_core.http.fields import REMEMBERED
from server_core.http.grammar import FIELD_LINES
from server_core.http.message import Fields, RequestRejected
from server_core.http1.field_names import DROPPED_NAME, SPECIAL_NAME, FieldNames, SortedFields

_METHODS: dict[bytes, bool] = {}
_PROBE: Final = b" / HTTP/1.1\r\nhost: x\r\n\r\n"


class HttptoolsHeaders:
    """The HeaderParser over httptools; llhttp knows only the methods it lists.

    llhttp refuses bare CR, bare LF, folded lines, control characters and space before a colon by itself, as of llhttp
    9.3 (httptools 0.9); the transcripts in tests/conformance fail if that changes.
    """

    __slots__ = ("_feed", "_fields", "_names", "dropped", "dropped_total", "forwarded", "special")

    def __init__(self, names: FieldNames) -> None:
        self._names = names
        self.special: Fields = []
        self.forwarded: Fields = []
        self.dropped = self.dropped_total = 0
        self._fields: Fields = []
        self.renew()

    def knows(self, method: bytes) -> bool:
        known = _METHODS.get(method)
        if known is None:
            if len(_METHODS) >= REMEMBERED:
                _METHODS.clear()
            known = _METHODS[method] = _is_parsed(method)
        return known

    def parse(self, head: bytes) -> Fields:
        fields: Fields = []
        self._fields = fields
        # New ones each time: the last ones are another head's, and a connection keeps them for heads like it
        self.special, self.forwarded, self.dropped = [], [], 0
        try:
            self._feed(head)
        except httptools.HttpParserUpgrade:
            self.renew()
        except httptools.HttpParserError as error:
            self.renew()
            stripped = _stripped(head)
            if stripped != head and FIELD_LINES.fullmatch(head, head.find(b"\r")):
                return self.parse(stripped)
            # llhttp judges the framing fields itself and says nothing of why: the rules find the better status
            self.special = self._names.sort(head).special
            raise RequestRejected(400, "malformed header fields") from error
        if head.find(b" \r") >= 0 or head.find(b"\t") >= 0:  # `in` makes and drops an exception (CPython 3.11)
            self._strip()
        return fields

    def on_header(self, name: bytes, value: bytes) -> None:
        known = self._names[name]
        field = (known[0], value)
        if kind := known[1]:
            if kind == DROPPED_NAME:
                self.dropped += 1
                return
            (self.special if kind == SPECIAL_NAME else self.forwarded).append(field)
        self._fields.append(field)

    def sort(self, head: bytes) -> SortedFields:
        return self._names.sort(head)

    def renew(self) -> None:
        self._feed = httptools.HttpRequestParser(self).feed_data

    def _strip(self) -> None:
        """llhttp leaves white space behind a value, which is no part of it (RFC 9112 section 5.1)."""
        for fields in (self._fields, self.special, self.forwarded):
            fields[:] = [(name, value.strip(b" \t")) for name, value in fields]


def _stripped(head: bytes) -> bytes:
    """The head without white space around its values: some of them llhttp refuses with a tab there (9.3)."""
    line, *fields = head.split(b"\r\n")
    parts = [field.partition(b":") for field in fields]
    return b"\r\n".join([line, *(name + colon + value.strip(b" \t") for name, colon, value in parts)])


class _Nobody:
    """A parser's protocol that listens to nothing."""


def _is_parsed(method: bytes) -> bool:
    try:
        httptools.HttpRequestParser(_Nobody()).feed_data(method + _PROBE)
    except httptools.HttpParserError:
        return False
    return True
