"""The Forwarded header by the grammar of RFC 7239, and nothing besides."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from server_core.http.message import RequestRejected
from server_core.proxy.forwarded_header import UNKNOWN, Element, parse_forwarded


@pytest.mark.parametrize(
    ("text", "elements"),
    [
        ("for=192.0.2.43", [Element("192.0.2.43", "", "")]),
        ('For="[2001:db8:cafe::17]:4711"', [Element("[2001:db8:cafe::17]:4711", "", "")]),
        ("for=192.0.2.60;proto=http;by=203.0.113.43", [Element("192.0.2.60", "http", "")]),
        ("for=192.0.2.43, for=198.51.100.17", [Element("192.0.2.43", "", ""), Element("198.51.100.17", "", "")]),
        ("for=192.0.2.43,FOR=198.51.100.17", [Element("192.0.2.43", "", ""), Element("198.51.100.17", "", "")]),
        ('for="192.0.2.43:80";host="shop.example:8443"', [Element("192.0.2.43:80", "", "shop.example:8443")]),
        (r'for="192.0.2.4\3"', [Element("192.0.2.43", "", "")]),
        ('for=_SEVKISEK, for=unknown, for="_x:_y"', [Element(UNKNOWN, "", "")] * 3),
        ("proto=https", [Element(UNKNOWN, "https", "")]),
        ('for="2001:db8::1"', [Element(UNKNOWN, "", "")]),
        ("for=1.2.3.4 ; proto=https", [Element("1.2.3.4", "https", "")]),
        ('secret="a;b,for=1.1.1.1\\"";for=192.0.2.1', [Element("192.0.2.1", "", "")]),
        (",, for=192.0.2.1 ,;,", [Element("192.0.2.1", "", "")]),
        ("", []),
        (" \t", []),
    ],
)
def test_what_the_grammar_has_is_read(text: str, elements: list[Element]) -> None:
    assert parse_forwarded(text) == elements


@pytest.mark.parametrize(
    "text",
    [
        "for",
        "for=",
        "=x",
        "for =x",
        "for= x",
        'for="x',
        'for="x"y',
        "for=2001:db8::1",
        "for=192.0.2.1:80",
        "for=1.1.1.1;for=2.2.2.2",
        "for=1.1.1.1;FOR=2.2.2.2",
        "for=a b",
        'for="\x00"',
        'for="a\\',
        'for=", for=192.0.2.1',
        "for=1.1.1.1\r",
    ],
)
def test_what_the_grammar_does_not_have_is_refused(text: str) -> None:
    with pytest.raises(RequestRejected, match="malformed Forwarded"):
        parse_forwarded(text)


def test_blanks_cost_their_length_and_not_their_square() -> None:
    with pytest.raises(RequestRejected):
        parse_forwarded(" " * 65536 + "?")


def quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


TOKENS = st.text("!#$%&'*+-.^_`|~0123456789abcXYZ", min_size=1, max_size=12)
VALUES = st.one_of(
    TOKENS, st.text([chr(code) for code in (9, *range(32, 127), *range(128, 256))], max_size=12).map(quoted)
)
NAMES = st.lists(TOKENS, min_size=1, max_size=4, unique_by=str.lower)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(NAMES.flatmap(lambda names: st.tuples(st.just(names), st.lists(VALUES, min_size=len(names), max_size=4))))
)
def test_as_many_elements_come_out_as_were_written(written: list[tuple[list[str], list[str]]]) -> None:
    elements = (";".join(map("=".join, zip(names, values, strict=False))) for names, values in written)
    assert len(parse_forwarded(", ".join(elements))) == len(written)


@settings(max_examples=300, deadline=None)
@given(st.text([chr(code) for code in range(256)]) | st.text('for="\\;,= x[]:1.%_'))
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        elements = parse_forwarded(text)
    except RequestRejected:
        return
    assert len(elements) <= text.count(",") + 1
