"""The grammars that decide whether a request is refused, read byte by byte, beside the patterns that decide it.

`python -m tests.helpers.grammar` compares the two with no package installed, so that any interpreter on the machine
can be asked. CPython 3.11.2's `re` took `for="x` and a chunk size of `3;` for well-formed (gh-106052).
"""

from __future__ import annotations

import itertools
import string
import sys
from collections.abc import Callable, Iterator
from typing import Final, NamedTuple

from server_core.http.grammar import FIELD_LINES
from server_core.http.message import RequestRejected
from server_core.http1.chunked import ChunkedBody
from server_core.proxy.forwarded_header import parse_forwarded
from server_core.websocket.extension_offers import agree

TCHAR: Final = frozenset("!#$%&'*+-.^_`|~" + string.digits + string.ascii_letters)
BLANK: Final = frozenset("\t ")
TEXT: Final = frozenset(map(chr, (9, *range(0x20, 0x7F), *range(0x80, 0x100))))
PLAIN: Final = TEXT - {'"', "\\"}
LONGEST: Final = 6
"""Every string up to this length over an alphabet of seven is 137,257 strings: seconds."""


class _Malformed(Exception):
    """What the reader by hand says of a text."""


class _Reader:
    """One text, read from its beginning with one character of foresight and no way back."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0

    @property
    def next(self) -> str:
        """The next character; empty at the end."""
        return self._text[self._at : self._at + 1]

    def run(self, allowed: frozenset[str], least: int = 0) -> str:
        start = self._at
        while self.next and self.next in allowed:
            self._at += 1
        if self._at - start < least:
            raise _Malformed
        return self._text[start : self._at]

    def one(self, allowed: frozenset[str] | str) -> None:
        if not self.next or self.next not in allowed:
            raise _Malformed
        self._at += 1

    def value(self) -> None:
        """A token or a quoted string."""
        if self.next != '"':
            self.run(TCHAR, least=1)
            return
        self.one('"')
        while self.next != '"':
            if self.next == "\\":
                self.one("\\")
                self.one(TEXT)
            else:
                self.one(PLAIN)
        self.one('"')


def _forwarded(reader: _Reader) -> None:
    names: set[str] = set()
    while True:
        reader.run(BLANK)
        if reader.next in TCHAR:
            name = reader.run(TCHAR).lower()
            reader.one("=")
            reader.value()
            reader.run(BLANK)
            if name in names:
                raise _Malformed
            names.add(name)
        if not reader.next:
            return
        if reader.next == ",":
            names.clear()
        reader.one(";,")


def _chunk_size(reader: _Reader) -> None:
    reader.run(frozenset(string.hexdigits), least=1)
    blanks = reader.run(BLANK)
    while reader.next:
        reader.one(";")
        reader.run(BLANK)
        reader.run(TCHAR, least=1)
        blanks = reader.run(BLANK)
        if reader.next == "=":
            reader.one("=")
            reader.run(BLANK)
            reader.value()
            blanks = reader.run(BLANK)
    if blanks:
        raise _Malformed


def _field_lines(reader: _Reader) -> None:
    while reader.next:
        reader.run(TCHAR, least=1)
        reader.one(":")
        reader.run(TEXT)
        reader.one("\r")
        reader.one("\n")


def _quoted_parameter(reader: _Reader) -> None:
    """What follows `name=` in an offer: a token, in quotes or not (RFC 6455 section 9.1: the content must be one)."""
    if reader.next == '"':
        reader.one('"')
        least = 1
        while reader.next != '"':
            if reader.next == "\\":
                reader.one("\\")
            reader.one(TCHAR)
            least = 0
        if least:
            raise _Malformed
        reader.one('"')
    else:
        reader.run(TCHAR, least=1)
    if reader.next:
        raise _Malformed


def _takes_field_lines(text: str) -> None:
    if FIELD_LINES.fullmatch(b"\r\n%b\r\n" % text.encode("latin-1")) is None:
        raise RequestRejected(400, "malformed header fields")


def _takes_chunk_size(text: str) -> None:
    ChunkedBody(1 << 60, 1 << 20).feed(text.encode("latin-1") + b"\r\n")


def _takes_parameter(text: str) -> None:
    agree([b"name; parameter=" + text.encode("latin-1")], 15)


class Grammar(NamedTuple):
    """One thing that is read, in both ways, and strings with their verdicts."""

    by_pattern: Callable[[str], object]
    """Raises RequestRejected for what is malformed."""
    by_hand: Callable[[_Reader], None]
    alphabet: str
    sound: tuple[str, ...]
    malformed: tuple[str, ...]


GRAMMARS: Final = {
    "forwarded": Grammar(
        parse_forwarded,
        _forwarded,
        'a=";, \\',
        ("", " ,\t; ", "for=1.2.3.4", 'for="[::1]:80" ; proto=https , for=x', r'a="\"", b="\\"', 'a="\x80\t "', 'a=""'),
        (
            'for="x, for=203.0.113.9',
            'for="x',
            r'for="x\"',
            r'for="x\\\"',
            "for=",
            "for=;proto=http",
            "for",
            "for =x",
            "for= x",
            'for="x"y',
            "for=x y",
            "for=x;for=y",
            'for=x, for="',
            'for="\x7f"',
            "for=x\x00",
            "=x",
            '"for"=x',
        ),
    ),
    "chunk size": Grammar(
        _takes_chunk_size,
        _chunk_size,
        '3x=";\\ ',
        ("3", "3;a", "0;a=b", '3 ;\ta = "b;\\"c" ; d', "00A;a;b;c", '3;a=""'),
        (
            *("", ";a", "3;", "3;a;", "3;a=b;", "3;a=", '3;a="', '3;a="b', '3;a="b\\"', "3 ", "3;a ", "3;a=b "),
            *('3;a="b"c', "3;a b", "3;=b", "3;a==b", "x", "-3", "+3", "0x3", "3,a", '3;"a"', '3;a="\x00"', "3;;a"),
        ),
    ),
    "field lines": Grammar(
        _takes_field_lines,
        _field_lines,
        "a: \t\r\n\x00",
        ("", "a:\r\n", "a: b\r\nc:\t\xff \r\n", "a:" + ":" * 9 + "\r\n"),
        (
            *("a\r\n", "a :\r\n", ":b\r\n", " a:b\r\n", "a:b", "a:b\n", "a:b\r", "a:b\r\n c\r\n", "a:\x00\r\n"),
            *("a:\x7f\r\n", "\r\n", "a:b\r\n\r\n", "a:b\r\r\n", "a\x80:b\r\n", "a:b\nc:d\r\n", "a:b\r\nc\r\n"),
        ),
    ),
    "parameter": Grammar(
        _takes_parameter,
        _quoted_parameter,
        'ab1"\\=\x00',
        ("a", '"a"', r'"\a"', r'"a\b\c"'),
        ("a b", '"', '""', '"a', r'"a\"', r'"\"', '"a"b', 'a"', r"\a", '"a b"', '"a\x00"', r'"a\\"', '"a=b"'),
    ),
}


def is_sound(grammar: Grammar, text: str) -> bool:
    """The verdict of the pattern."""
    try:
        grammar.by_pattern(text)
    except RequestRejected:
        return False
    return True


def is_sound_by_hand(grammar: Grammar, text: str) -> bool:
    try:
        grammar.by_hand(_Reader(text))
    except _Malformed:
        return False
    return True


def wrong(grammar: Grammar, longest: int = LONGEST) -> Iterator[str]:
    """Each text whose verdict by the pattern is not its verdict by hand, or not the one written here."""
    for texts, verdict in ((grammar.sound, True), (grammar.malformed, False)):
        yield from (text for text in texts if is_sound(grammar, text) != verdict)
        yield from (text for text in texts if is_sound_by_hand(grammar, text) != verdict)
    for length in range(longest + 1):
        for characters in itertools.product(grammar.alphabet, repeat=length):
            text = "".join(characters)
            if is_sound(grammar, text) != is_sound_by_hand(grammar, text):
                yield text


def main() -> int:
    """0 if all verdicts agree; 1 otherwise, with the first ones that do not."""
    code = 0
    for name, grammar in GRAMMARS.items():
        for text in itertools.islice(wrong(grammar), 10):
            code = 1
            print(f"{name}: {text!r}")
    print(sys.version.split()[0], "differs" if code else "agrees")
    return code


if __name__ == "__main__":
    sys.exit(main())
