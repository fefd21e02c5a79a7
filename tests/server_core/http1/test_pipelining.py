"""What waits behind the request being served: counted in requests, read on in time, and never for ever."""

# ruff: noqa: ARG001 - an ASGI application takes three arguments, whether it needs them or not

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from server_core.asgi.http_exchange import Message, Receive, Send
from server_core.http1.connection import Http1Connection
from server_core.http1.pipelining import DEPTH, HIGH_WATER
from server_core.transport.socket_info import TO_READ, queued_bytes
from tests.helpers.bench import Bench, settle
from tests.helpers.certificates import authority, localhost
from tests.helpers.http import GET, PARSERS, Served, parse_responses, reply, run, serving, until
from tests.helpers.websocket import handshake

LOOPS = ("asyncio", "uvloop")
ENDS = b"\r\n\r\n" * 40
"""A body that looks like the ends of forty heads."""


def numbered(number: int) -> bytes:
    return GET.replace(b"GET /", b"GET /%d" % number)


def post(body: bytes) -> bytes:
    return b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: %d\r\n\r\n%b" % (len(body), body)


def chunked(body: bytes) -> bytes:
    chunk = b"%x\r\n%b\r\n" % (len(body), body) if body else b""
    return b"POST / HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n%b0\r\n\r\n" % chunk


class Gated:
    """Answers with the path and the length of the body, but the first request only when told to."""

    def __init__(self) -> None:
        self.gate = asyncio.Event()

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        await self.gate.wait()
        length, more = 0, True
        while more:
            message = await receive()
            body = message["body"]
            assert isinstance(body, bytes)
            length, more = length + len(body), bool(message["more_body"])
        await reply(send, f"{scope['path']} {length}".encode())


def the_connection(served: Served) -> Http1Connection:
    (connection,) = served.server.connections
    assert isinstance(connection, Http1Connection)
    return connection


@pytest.mark.parametrize("tls", [False, True], ids=["plain", "tls"])
@pytest.mark.parametrize("parser", PARSERS)
@pytest.mark.parametrize("loop", LOOPS)
def test_forty_requests_at_once_are_answered_in_order(loop: str, parser: str, tls: bool) -> None:
    pair = {"ssl_certfile": (localhost().certificate,), "ssl_keyfile": (localhost().key,)} if tls else {}

    async def scenario() -> None:
        app = Gated()
        async with serving(app, http=parser, **pair) as served:
            client = await served.connect(authority().client() if tls else None)
            client.send(b"".join(map(numbered, range(40))))
            await until(lambda: served.server.connections and the_connection(served).reading.is_paused)
            assert len(served.server.in_flight()) == 1, "nothing is taken apart ahead of its turn"
            app.gate.set()
            assert [(await client.response()).body for _ in range(40)] == [b"/%d 0" % number for number in range(40)]
            assert not the_connection(served).reading.is_paused

    run(scenario(), loop=loop)


@pytest.mark.parametrize("loop", LOOPS)
def test_behind_sixteen_that_wait_the_server_stops_reading(loop: str) -> None:
    async def scenario() -> None:
        app = Gated()
        async with serving(app) as served:
            client = await served.connect()
            client.send(GET * DEPTH)
            await until(lambda: served.server.connections and len(the_connection(served).reader.held))
            connection = the_connection(served)
            await until(lambda: len(connection.reader.held) == len(GET) * (DEPTH - 1))
            assert not connection.reading.is_paused, "fifteen wait"
            client.send(GET)
            await until(lambda: connection.reading.is_paused)
            client.send(GET * 3)
            await until(lambda: queued_bytes(connection.transport, TO_READ) == len(GET) * 3)
            assert len(connection.reader.held) == len(GET) * DEPTH
            app.gate.set()
            for _ in range(DEPTH + 4):
                assert (await client.response()).status == 200

    run(scenario(), loop=loop)


@pytest.mark.parametrize("size", [1, 3, 7, 1000])
def test_it_does_not_matter_how_the_bytes_come(size: int) -> None:
    async def scenario() -> None:
        app = Gated()
        bench = Bench(app)
        await bench.feed(GET)
        stream = GET * DEPTH
        for at in range(0, len(stream), size):
            assert not bench.transport.is_reading_paused
            await bench.feed(stream[at : at + size])
        assert bench.transport.is_reading_paused
        app.gate.set()
        await until(lambda: len(bench.statuses()) == DEPTH + 1)
        assert not bench.transport.is_reading_paused

    asyncio.run(scenario())


def test_reading_goes_on_as_soon_as_fewer_wait() -> None:
    async def scenario() -> None:
        turns = asyncio.Semaphore(0)

        async def app(scope: Message, receive: Receive, send: Send) -> None:
            await turns.acquire()
            await reply(send, b"")

        bench = Bench(app)
        await bench.feed(GET * (DEPTH + 3))
        for _ in range(2):
            turns.release()
            await settle()
            assert bench.transport.is_reading_paused
        turns.release()
        await settle()
        assert not bench.transport.is_reading_paused
        await bench.feed(GET)
        assert bench.transport.is_reading_paused
        for _ in range(DEPTH + 1):
            turns.release()
        await until(lambda: bench.statuses() == [200] * (DEPTH + 4))

    asyncio.run(scenario())


@pytest.mark.parametrize("behind", [post(ENDS * 500), chunked(ENDS * 500)], ids=["counted", "chunked"])
@pytest.mark.parametrize("loop", LOOPS)
def test_a_body_that_looks_like_many_heads_is_read_to_its_end(loop: str, behind: bytes) -> None:
    async def scenario() -> None:
        app = Gated()
        async with serving(app) as served:
            client = await served.connect()
            client.send(GET + behind[:4000])
            await until(lambda: served.server.connections and the_connection(served).reading.is_paused)
            client.send(behind[4000:] + numbered(3))
            app.gate.set()
            bodies = [(await client.response()).body for _ in range(3)]
            assert bodies == [b"/ 0", b"/ %d" % (len(ENDS) * 500), b"/3 0"]
            assert not the_connection(served).reading.is_paused

    run(scenario(), loop=loop)


def test_empty_lines_are_no_requests_that_could_be_waited_for() -> None:
    async def scenario() -> None:
        app = Gated()
        bench = Bench(app)
        await bench.feed(GET + ENDS + b"GET / HT")
        assert bench.transport.is_reading_paused
        app.gate.set()
        await settle()
        assert bench.statuses() == [200]
        assert not bench.transport.is_reading_paused
        await bench.feed(b"TP/1.1\r\nhost: x\r\n\r\n")
        assert bench.statuses() == [200, 200]

    asyncio.run(scenario())


def test_one_long_request_that_waits_is_bounded_by_its_bytes() -> None:
    async def scenario() -> None:
        app = Gated()
        bench = Bench(app)
        await bench.feed(GET + post(b"x" * HIGH_WATER))
        assert bench.transport.is_reading_paused
        app.gate.set()
        await until(lambda: bench.statuses() == [200, 200])
        assert not bench.transport.is_reading_paused

    asyncio.run(scenario())


@pytest.mark.parametrize("first", [b"", GET])
def test_a_head_of_more_than_the_mark_is_read_where_the_settings_allow_it(first: bytes) -> None:
    async def scenario() -> None:
        bench = Bench(limit_header_bytes=200_000)
        await bench.feed(first)
        long = GET.replace(b"host", b"long: %b\r\nhost" % (b"x" * 150_000))
        for at in range(0, len(long), 40_000):
            assert not bench.transport.is_reading_paused
            await bench.feed(long[at : at + 40_000])
        assert bench.statuses()[-1:] == [200]

    asyncio.run(scenario())


bodies = st.builds(lambda ends, more: b"\r\n\r\n" * ends + b"x" * more, st.integers(0, 40), st.integers(0, 3))
requests = st.one_of(
    st.just(GET), st.just(b"\r\n" * 3 + GET), st.just(GET * 10), st.builds(post, bodies), st.builds(chunked, bodies)
)


@settings(max_examples=300, derandomize=True, deadline=None, database=None)
@given(st.lists(requests, min_size=1, max_size=40), st.lists(st.integers(1, 400), min_size=1, max_size=20))
def test_whoever_waits_for_reading_to_go_on_gets_every_answer(pipelined: list[bytes], sizes: list[int]) -> None:
    async def scenario() -> None:
        turns = asyncio.Semaphore(0)
        answered = 0

        async def app(scope: Message, receive: Receive, send: Send) -> None:
            nonlocal answered
            await turns.acquire()
            while (await receive())["more_body"]:
                pass
            await reply(send, b"")
            answered += 1

        bench = Bench(app)
        stream, number = b"".join(pipelined), 0
        expected = b"".join(pipelined).count(b" HTTP/1.1\r\n")
        while answered < expected:
            before = answered, len(stream)
            if stream and not bench.transport.is_reading_paused:
                size = sizes[number % len(sizes)]
                number += 1
                await bench.feed(stream[:size])
                stream = stream[size:]
            else:
                turns.release()
                await settle()
            assert (answered, len(stream)) != before or not bench.transport.is_reading_paused, "it stands still"
        assert bench.statuses() == [200] * expected

    asyncio.run(scenario())


def test_the_answers_of_a_pipeline_leave_together() -> None:
    async def app(scope: Message, receive: Receive, send: Send) -> None:
        await reply(send, str(scope["path"]).encode())

    async def scenario() -> None:
        bench = Bench(app)
        bench.transport.feed(b"".join(map(numbered, range(8))))
        while bench.transport.written.count(b"HTTP/1.1 200") < 8:
            await settle()
        assert bench.transport.writes == 1
        assert [answer.body for answer in parse_responses(bench.transport.written)] == [b"/%d" % n for n in range(8)]
        bench.transport.feed(numbered(8))
        while bench.transport.written.count(b"HTTP/1.1 200") < 9:
            await settle()
        assert bench.transport.writes == 2, "one that stands alone does not wait"

    run(scenario())


@pytest.mark.parametrize("loop", LOOPS)
def test_an_answer_does_not_wait_for_the_next_one_of_a_pipeline(loop: str) -> None:
    gate = asyncio.Event()

    async def app(scope: Message, receive: Receive, send: Send) -> None:
        if scope["path"] == "/1":
            await gate.wait()
        await reply(send, str(scope["path"]).encode())

    async def scenario() -> None:
        async with serving(app) as served:
            client = await served.connect()
            client.send(numbered(0) + numbered(1) + numbered(2))
            assert (await client.response()).body == b"/0"
            gate.set()
            assert (await client.response()).body == b"/1"
            assert (await client.response()).body == b"/2"

    run(scenario(), loop=loop)


def answered(written: bytes) -> list[bytes]:
    return [response.body for response in parse_responses(written)]


@pytest.mark.parametrize("parser", PARSERS)
@pytest.mark.parametrize("loop", LOOPS)
def test_requests_with_a_fin_right_behind_them_are_all_answered(loop: str, parser: str) -> None:
    """Of 500 pairs 499 had no answer at all: the FIN came when the first was answered, and the second not begun."""
    bursts: list[tuple[bytes, list[bytes]]] = [
        (numbered(1) + numbered(2), [b"/1 0", b"/2 0"]),
        (post(b"a" * 5) + chunked(b"b" * 7) + numbered(3), [b"/ 5", b"/ 7", b"/3 0"]),
        (b"".join(map(numbered, range(3 * DEPTH))), [b"/%d 0" % number for number in range(3 * DEPTH)]),
        (2 * post(b"c" * 3 * HIGH_WATER) + numbered(4), [b"/ %d" % (3 * HIGH_WATER)] * 2 + [b"/4 0"]),
        (numbered(5) + b"\r\n\r\n" + numbered(6), [b"/5 0", b"/6 0"]),
    ]

    async def scenario() -> None:
        app = Gated()
        app.gate.set()
        async with serving(app, http=parser) as served:
            for burst, answers in 10 * bursts:
                client = await served.connect()
                client.send(burst)
                client.writer.write_eof()
                assert answered(await client.rest()) == answers
            await until(lambda: not served.server.connections)

    run(scenario(), loop=loop)


@pytest.mark.parametrize("parser", PARSERS)
@pytest.mark.parametrize("loop", LOOPS)
def test_a_slow_first_request_does_not_lose_the_others_to_a_fin(loop: str, parser: str) -> None:
    async def scenario() -> None:
        app = Gated()
        async with serving(app, http=parser) as served:
            client = await served.connect()
            client.send(b"".join(map(numbered, range(40))) + post(b"x" * 2 * HIGH_WATER))
            client.writer.write_eof()
            await until(lambda: served.server.connections and the_connection(served).reading.is_paused)
            app.gate.set()
            expected = [b"/%d 0" % number for number in range(40)] + [b"/ %d" % (2 * HIGH_WATER)]
            assert answered(await client.rest()) == expected

    run(scenario(), loop=loop)


@pytest.mark.parametrize("rest", [b"GE", GET[:-2], post(b"12345")[:-1], chunked(b"12345")[:-1], b"\r\n"], ids=repr)
@pytest.mark.parametrize("loop", LOOPS)
def test_a_request_that_a_fin_breaks_off_ends_the_connection_behind_the_answers(loop: str, rest: bytes) -> None:
    async def scenario() -> None:
        app = Gated()
        app.gate.set()
        async with serving(app) as served:
            for _ in range(5):
                client = await served.connect()
                client.send(numbered(1) + numbered(2) + rest)
                client.writer.write_eof()
                assert answered(await client.rest()) == [b"/1 0", b"/2 0"]
            await until(lambda: not served.server.connections and not served.server.background)

    run(scenario(), loop=loop)


@pytest.mark.parametrize("loop", LOOPS)
def test_each_request_before_a_fin_has_its_body_and_then_a_disconnect(loop: str) -> None:
    told: list[tuple[object, object]] = []

    async def app(scope: Message, receive: Receive, send: Send) -> None:
        first, second = await receive(), await receive()
        told.append((first.get("body"), second["type"]))
        await reply(send, b"")

    async def scenario() -> None:
        async with serving(app) as served:
            client = await served.connect()
            client.send(post(b"one") + post(b"two") + chunked(b"three"))
            client.writer.write_eof()
            assert answered(await client.rest()) == [b""] * 3

    run(scenario(), loop=loop)
    assert told == [(body, "http.disconnect") for body in (b"one", b"two", b"three")]


@pytest.mark.parametrize("loop", LOOPS)
def test_a_handshake_before_a_fin_is_left_and_the_answers_before_it_are_sent(loop: str) -> None:
    told: list[object] = []

    async def app(scope: Message, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            await reply(send, b"first")
            return
        told.append((await receive())["type"])
        told.append((await receive())["type"])

    async def scenario() -> None:
        async with serving(app) as served:
            client = await served.connect()
            client.send(GET + handshake())
            client.writer.write_eof()
            assert answered(await client.rest()) == [b"first"]
            await until(lambda: len(told) == 2 and not served.server.background)
            assert not served.heard.all("request.failed")

    run(scenario(), loop=loop)
    assert told == ["websocket.connect", "websocket.disconnect"]
