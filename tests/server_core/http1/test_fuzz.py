"""Streams of requests that nobody would write, cut anywhere: both parsers do what the oracle says, and nothing else.

FUZZ_EXAMPLES=100000 tries so many, other ones each time; without it a few hundred, always the same.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from server_core.http.message import Head, HeaderParser, RequestRejected
from server_core.http1.chunked import ChunkedBody
from server_core.http1.field_names import KEEP, FieldNames
from server_core.http1.framing import VERDICTS
from server_core.http1.h11_parser import H11Headers
from server_core.http1.httptools_parser import HttptoolsHeaders
from server_core.http1.reader import H1Reader
from server_core.http1.request_line import RequestLines
from server_core.settings.declaration import ServerSettings
from tests.conformance.cases import all_cases
from tests.conformance.oracle import Bytes, Fault, Limits, Request, Story, Waiting, chunked, read
from tests.helpers.http import PARSERS

EXAMPLES = int(os.environ.get("FUZZ_EXAMPLES", "0"))
fuzzed = settings(max_examples=EXAMPLES or 200, derandomize=not EXAMPLES, deadline=None, database=None)

SMALL = Limits(line=40, head=150, fields=4, body=8)


class Recorder:
    """A sink that keeps what a reader says."""

    def __init__(self) -> None:
        self.story = Story()
        self.keep_alive = True

    def begin(self, head: Head) -> None:
        scope = head.line.scope
        path, query = scope["path"], scope["query_string"]
        assert isinstance(path, str)
        assert isinstance(query, bytes)
        request = Request(head.line.method.encode(), path, query, head.line.version.encode(), list(head.fields))
        request.is_complete = head.rules.length == 0
        self.keep_alive = head.rules.keep_alive
        self.story.requests.append(request)

    def body(self, data: bytes) -> None:
        assert data
        assert not self.story.requests[-1].is_complete
        self.story.requests[-1].body += data

    def end(self) -> None:
        assert not self.story.requests[-1].is_complete
        self.story.requests[-1].is_complete = True


def a_parser(name: str, limits: Limits) -> HeaderParser:
    names = FieldNames((b"x-forwarded-for",), KEEP)
    return HttptoolsHeaders(names) if name == "httptools" else H11Headers(names, limits.head + limits.line)


def follow(pieces: Sequence[bytes], parser: str, limits: Limits) -> Story:
    """What a reader makes of the pieces, driven as a connection drives it."""
    VERDICTS.clear()
    recorder = Recorder()
    story, seam = recorder.story, a_parser(parser, limits)
    chosen = ServerSettings(
        limit_request_line=limits.line,
        limit_header_bytes=limits.head,
        limit_request_fields=limits.fields,
        limit_body=limits.body,
    )
    reader = H1Reader(seam, RequestLines("", seam.knows), chosen, recorder)
    try:
        for piece in pieces:
            told = len(story.requests)
            reader.feed(piece)
            while story.requests and story.requests[-1].is_complete:
                if not recorder.keep_alive:
                    story.end = "close"
                    return story
                if reader.is_between_requests:
                    break
                reader.next()
                reader.feed(b"")
                if len(story.requests) == told:
                    break
                told = len(story.requests)
    except RequestRejected as refused:
        story.end = refused.status
    return story


def cut(data: bytes, places: Sequence[float]) -> list[bytes]:
    """The data in pieces, cut at these parts of its length."""
    at = sorted({int(place * len(data)) for place in places} | {0, len(data)})
    return [data[begin:end] for begin, end in pairwise(at)]


def comparable(story: Story) -> Story:
    """Of a request that was refused in its body, how much of it came before depends on the segments."""
    if isinstance(story.end, int) and story.requests and not story.requests[-1].is_complete:
        story.requests[-1].body = b""
    return story


def agree(data: bytes, places: Sequence[float], limits: Limits) -> None:
    expected = comparable(read(data, limits))
    for parser in PARSERS:
        for pieces in (cut(data, places), [data], [data[at : at + 1] for at in range(len(data))]):
            assert comparable(follow(pieces, parser, limits)) == expected, (parser, pieces)


def often(usual: Sequence[bytes], seldom: Sequence[bytes]) -> st.SearchStrategy[bytes]:
    """Mostly one of the usual, so that faults stand alone."""
    return st.integers(0, 9).flatmap(lambda number: st.sampled_from(seldom if number == 9 else usual))


METHODS = often(
    [b"GET", b"POST"],
    [b"HEAD", b"OPTIONS", b"CONNECT", b"get", b"BREW", b"PRI", b"M-SEARCH", b"SOURCE", b"", b"M" * 128, b"M" * 129],
)
SPACES = often([b" "], [b"  ", b"\t", b"", b"\x0b"])
TARGETS = often(
    [b"/", b"/a%20b?c=d"],
    [
        b"*",
        b"http://y",
        b"http://y:1/p?q",
        b"http://a@y/",
        b"http://:1/",
        b"y:80",
        b"/\xe9",
        b"/#",
        b"//y",
        b"/\x00",
        b"HTTPS://[::1]?",
    ],
)
VERSIONS = often(
    [b"HTTP/1.1"], [b"HTTP/1.0", b"HTTP/1.2", b"HTTP/2.0", b"HTTP/0.9", b"http/1.1", b"HTTP/1.10", b"HTTP/11", b""]
)
LINE_ENDS = often([b"\r\n"] * 4, [b"\n", b"\r", b"\r\r\n", b"\r\n\r\n", b"\r\n ", b"\n\r"])
HOSTS = often(
    [b"Host: x"],
    [
        b"",
        b"host:y:80",
        b"Host: x\r\nHost: x",
        b"Host:",
        b"Host: [::1]:1",
        b"Host: [::",
        b"Host: a b",
        b"Host: x:99999",
        b"Host: x:000080",
        b"Host: x:" + b"0" * 255,
        b"Host: x:" + b"0" * 256,
        b"Host: [v1.a:]",
        b"Host: [V1.a]:",
        b"Host: [v.a]",
        b"Host : x",
    ],
)
LENGTHS = (b"5", b"05", b"+5", b"5,5", b"5, 5", b"0x5", b"5 ", b"\t5", b"", b"-1", b"5_0", b"9" * 20, b"0", b"\xb2")
CODINGS = (
    b"chunked",
    b"Chunked",
    b"gzip, chunked",
    b"chunked, gzip",
    b"chunked, chunked",
    b"identity",
    b"",
    b"\x0bchunked",
    b"chunked;a=b",
    b"x",
    b'"chunked"',
    b",chunked",
    b"chunked\x00",
)
FRAMINGS = st.one_of(
    st.just(b""),
    st.just(b"Content-Length: 5"),
    st.just(b"Transfer-Encoding: chunked"),
    st.sampled_from(LENGTHS).map(lambda value: b"Content-Length: " + value),
    st.sampled_from(CODINGS).map(lambda value: b"Transfer-Encoding: " + value),
    st.sampled_from(
        [
            b"Content-Length : 5",
            b"Content-Length\x00: 5",
            b"Transfer-Encoding\t: chunked",
            b"Transfer_Encoding: chunked",
        ]
    ),
)
OTHERS = st.sampled_from(
    [
        b"A: b",
        b"A:\tb \t",
        b"A: \xe9",
        b"A: b\x00",
        b"A\x7f: b",
        b": b",
        b"A",
        b"A: b\x7f",
        b"A(: b",
        b"",
        b" A: b",
        b"A: b\rc",
        b"Connection: close",
        b"Connection: keep-alive",
        b"Connection: Upgrade\r\nUpgrade: websocket",
        b"Upgrade: h2c",
        b"Connection: upgrade, close",
        b"Expect: 100-continue",
        b"Expect: tea",
        b"X-Forwarded-For: 1.2.3.4",
        b"A_b: c",
    ]
)
BODIES = often(
    [b"", b"hello", b"5\r\nhello\r\n0\r\n\r\n", b"2;a=b\r\nhi\r\n0\r\nX: y\r\n\r\n"],
    [
        b"5\nhello\r\n0\r\n\r\n",
        b"5 \r\nhello\r\n0\r\n\r\n",
        b"4\r\nhello\r\n0\r\n\r\n",
        b"0\r\n\r\n",
        b"0\r\nHost: z\r\n\r\n",
        b"\r\n",
        b"0\r\n a\r\n\r\n",
        b"f" * 16 + b"\r\n",
        b'1;a="\\""\r\na\r\n0\r\n\r\n',
        b"1;a=\r\na\r\n0\r\n\r\n",
        b"+1\r\n",
        b"1\r\nab\r\n",
    ],
)


@st.composite
def requests(draw: st.DrawFn) -> bytes:
    line = draw(METHODS) + draw(SPACES) + draw(TARGETS) + draw(SPACES) + draw(VERSIONS)
    fields = [draw(HOSTS), draw(FRAMINGS), *draw(st.lists(st.one_of(OTHERS, FRAMINGS), max_size=2))]
    fields = [name for name in draw(st.permutations(fields)) if name]
    head = b"".join(part + draw(LINE_ENDS) for part in (line, *fields))
    return head + draw(LINE_ENDS) + draw(BODIES)


@st.composite
def streams(draw: st.DrawFn) -> bytes:
    """One to three requests, or a transcript; then some bytes of it changed."""
    known = [case.sent for case in all_cases()]
    data = draw(st.one_of(st.lists(requests(), min_size=1, max_size=3).map(b"".join), st.sampled_from(known)))
    for _ in range(draw(st.sampled_from([0, 0, 1, 2]))):
        at = draw(st.integers(0, len(data)))
        put = draw(
            st.sampled_from([b"", b"\r", b"\n", b"\r\n", b" ", b"\t", b"\x00", b":", b";", b",", b"0", b"\xff", b"_"])
        )
        data = data[:at] + put + data[at + draw(st.integers(0, 2)) :]
    return data


PLACES = st.lists(st.floats(0, 1, exclude_max=True), max_size=4)


@fuzzed
@given(streams(), PLACES)
def test_both_parsers_do_what_the_rules_say(data: bytes, places: list[float]) -> None:
    agree(data, places, Limits())


@fuzzed
@given(streams(), PLACES)
def test_both_parsers_keep_the_limits_where_the_rules_say(data: bytes, places: list[float]) -> None:
    agree(data, places, SMALL)


@fuzzed
@given(st.binary(max_size=80), PLACES)
def test_bytes_that_are_no_request_at_all_do_no_harm(data: bytes, places: list[float]) -> None:
    agree(data, places, SMALL)


CHUNK_BITS = st.lists(
    st.sampled_from(
        [
            b"0",
            b"1",
            b"a",
            b"F",
            b"\r\n",
            b"\r\n",
            b"\r",
            b"\n",
            b";",
            b"=",
            b'"',
            b"\\",
            b" ",
            b"\t",
            b"b",
            b":",
            b"\x00",
            b"\xe9",
        ]
    ),
    max_size=40,
).map(b"".join)


@fuzzed
@given(st.one_of(CHUNK_BITS, BODIES), CHUNK_BITS, PLACES, st.sampled_from([0, 12, 65536]))
def test_a_chunked_body_ends_where_the_rules_say(begin: bytes, data: bytes, places: list[float], limit: int) -> None:
    data = begin + data
    stream, request = Bytes(data), Request(b"", "", b"", b"", [])
    expected: object
    try:
        chunked(stream, request, Limits(head=limit))
        expected = request.body, data[stream.at :]
    except Waiting:
        expected = request.body, None
    except Fault as fault:
        expected = int(str(fault))
    for pieces in (cut(data, places), [data], [data[at : at + 1] for at in range(len(data))]):
        assert decode(pieces, limit) == expected, pieces


def decode(pieces: Sequence[bytes], limit: int) -> object:
    """Body and rest, or the status of a refusal."""
    decoder, body = ChunkedBody(sys.maxsize, limit), b""
    try:
        for number, piece in enumerate(pieces):
            body += decoder.feed(piece)
            if decoder.rest is not None:
                return body, decoder.rest + b"".join(pieces[number + 1 :])
    except RequestRejected as refused:
        return refused.status
    return body, None


FEW_LINES = (
    *(b"GET / HTTP/1.1", b"POST /other?q HTTP/1.1", b"QUERY / HTTP/1.1", b"GET http://y/ HTTP/1.1"),
    *(b"GET / HTTP/1.0", b"HEAD / HTTP/1.1"),
    *(b"", b"\r\nGET / HTTP/1.1", b"GET / HTTP/1.1\r", b"GET /\r\nhost: x"),
)
FEW_FIELDS = (
    (b"host: x", b""),
    (b"host: x\r\nconnection: keep-alive", b""),
    (b"host: x\r\nx-forwarded-for: 1.2.3.4\r\naccept: */*", b""),
    (b"host: x\r\ncontent-length: 3", b"abc"),
    (b"host: x\r\ntransfer-encoding: chunked", b"3\r\nabc\r\n0\r\n\r\n"),
    (b"Host: x\r\nname:  value \t", b""),
)


@fuzzed
@given(
    st.lists(st.tuples(st.sampled_from(FEW_LINES), st.sampled_from(FEW_FIELDS)), min_size=2, max_size=8),
    st.lists(st.floats(0, 1), max_size=4),
)
def test_fields_that_are_recognised_come_to_what_they_came_to(
    requests: list[tuple[bytes, tuple[bytes, bytes]]], places: list[float]
) -> None:
    """Few lines and few fields, so that a connection mostly sees again what it saw last, or all but the line."""
    agree(b"".join(b"%b\r\n%b\r\n\r\n%b" % (line, *fields) for line, fields in requests), places, Limits())


@pytest.mark.parametrize("parser", PARSERS)
def test_what_a_request_is_given_is_its_own_although_it_was_recognised(parser: str) -> None:
    kept: list[Head] = []

    class Spoiler(Recorder):
        def begin(self, head: Head) -> None:
            super().begin(head)
            head.fields.append((b"added", b"by the application"))
            head.forwarded = []
            kept.append(head)

    spoiler, seam = Spoiler(), a_parser(parser, Limits())
    reader = H1Reader(seam, RequestLines("", seam.knows), ServerSettings(), spoiler)
    for _ in range(3):
        reader.feed(b"GET / HTTP/1.1\r\nhost: x\r\nx-forwarded-for: 1.2.3.4\r\n\r\n")
        reader.next()
    asked = [request.fields for request in spoiler.story.requests]
    assert asked == [[(b"host", b"x"), (b"x-forwarded-for", b"1.2.3.4")]] * 3


@pytest.mark.parametrize("parser", PARSERS)
def test_nothing_that_one_connection_said_is_taken_for_another_s_although_one_parser_serves_both(parser: str) -> None:
    class Listener(Recorder):
        def __init__(self) -> None:
            super().__init__()
            self.forwarded: list[list[tuple[bytes, bytes]]] = []

        def begin(self, head: Head) -> None:
            super().begin(head)
            self.forwarded.append(list(head.forwarded))

    seam = a_parser(parser, Limits())
    lines, quiet, loud = RequestLines("", seam.knows), Listener(), Listener()
    mine, theirs = (H1Reader(seam, lines, ServerSettings(), sink) for sink in (quiet, loud))
    for _ in range(3):
        mine.feed(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n")
        mine.next()
        theirs.feed(b"GET / HTTP/1.1\r\nhost: x\r\nx-forwarded-for: 192.0.2.66\r\n\r\n")
        theirs.next()
    assert quiet.forwarded == [[]] * 3
    assert loud.forwarded == [[(b"x-forwarded-for", b"192.0.2.66")]] * 3
    assert [request.fields for request in quiet.story.requests] == [[(b"host", b"x")]] * 3
