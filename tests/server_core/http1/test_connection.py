"""Deadlines by the sweep, with instants that the test chooses; limits; how connections end."""

# ruff: noqa: ARG001 - an ASGI application takes three arguments, whether it needs them or not

from __future__ import annotations

import asyncio

import pytest

from server_core.asgi.http_exchange import Message, Receive, Send
from server_core.http1.connection import Http1Connection
from tests.helpers.bench import Bench, settle
from tests.helpers.http import GET, PARSERS, PipeTransport, parse_responses, reflect, reply, run, serving, until


def test_a_silent_connection_is_closed_at_the_header_timeout_without_a_word() -> None:
    async def scenario() -> None:
        bench = Bench(header_timeout=10.0)
        bench.sweep(9.0)
        assert not bench.transport.is_closing()
        bench.sweep(2.0)
        assert bench.transport.is_closing()
        assert bench.transport.written == b""

    asyncio.run(scenario())


@pytest.mark.parametrize("parser", PARSERS)
def test_a_slow_head_is_answered_408_however_it_trickles(parser: str) -> None:
    async def scenario() -> None:
        bench = Bench(header_timeout=10.0, http=parser)
        for byte in b"GET / HTTP":
            await bench.feed(bytes([byte]))
            bench.sweep(0.9)
        assert bench.statuses() == []
        bench.sweep(2.0)
        assert bench.statuses() == [408]
        assert bench.transport.is_shut

    asyncio.run(scenario())


def test_the_header_timeout_of_a_second_request_begins_with_its_first_byte() -> None:
    async def scenario() -> None:
        bench = Bench(header_timeout=10.0, keep_alive=75.0)
        await bench.feed(GET)
        bench.sweep(60.0)
        await bench.feed(b"GET ")
        bench.sweep(9.0)
        assert bench.statuses() == [200]
        bench.sweep(2.0)
        assert bench.statuses() == [200, 408]

    asyncio.run(scenario())


def test_empty_lines_do_not_put_off_the_deadline_of_a_first_request() -> None:
    async def scenario() -> None:
        bench = Bench(header_timeout=10.0)
        for byte in b"\r\n\r\n\r\n":
            await bench.feed(bytes([byte]))
            bench.sweep(1.5)
        bench.sweep(2.0)
        assert bench.transport.is_closing()

    asyncio.run(scenario())


def test_an_empty_line_before_a_next_request_does_not_count_the_idle_time_against_it() -> None:
    async def scenario() -> None:
        bench = Bench(header_timeout=10.0, keep_alive=75.0)
        await bench.feed(GET)
        bench.sweep(60.0)
        await bench.feed(b"\r\nGET ")
        bench.sweep(9.0)
        assert bench.statuses() == [200]
        bench.sweep(2.0)
        assert bench.statuses() == [200, 408]

    asyncio.run(scenario())


def test_an_idle_connection_is_shut_at_the_keep_alive_timeout() -> None:
    async def scenario() -> None:
        bench = Bench(keep_alive=75.0)
        await bench.feed(GET)
        bench.sweep(74.0)
        assert not bench.transport.is_shut
        await bench.feed(GET)
        bench.sweep(74.0)
        assert not bench.transport.is_shut, "the second request has renewed it"
        bench.sweep(2.0)
        assert bench.transport.is_shut
        assert bench.statuses() == [200, 200]

    asyncio.run(scenario())


def test_a_body_that_stops_is_answered_408_if_the_application_waits_for_it() -> None:
    async def scenario() -> None:
        bench = Bench(body_timeout=30.0, body_min_rate=0)
        await bench.feed(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhe")
        bench.sweep(29.0)
        await bench.feed(b"l")
        bench.sweep(29.0)
        assert bench.statuses() == []
        bench.sweep(2.0)
        await settle()
        assert bench.statuses() == [408]
        assert bench.transport.is_shut
        assert not bench.heard.all("request.failed")

    asyncio.run(scenario())


def test_a_body_that_nobody_waits_for_has_no_deadline() -> None:
    async def scenario() -> None:
        gate = asyncio.Event()

        async def app(scope: Message, receive: Receive, send: Send) -> None:
            await gate.wait()
            await reply(send, b"")

        bench = Bench(app, body_timeout=30.0)
        await bench.feed(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhe")
        bench.sweep(500.0)
        assert bench.statuses() == []
        gate.set()
        await settle()
        assert bench.statuses() == [200]

    asyncio.run(scenario())


def test_a_client_that_takes_nothing_is_cut_off_at_the_write_timeout() -> None:
    async def scenario() -> None:
        bench = Bench(write_timeout=30.0)
        bench.transport.pending = 50
        await bench.feed(GET)
        bench.sweep(1.0)
        bench.sweep(29.0)
        bench.transport.pending = 40
        bench.sweep(1.0)
        bench.sweep(29.0)
        assert not bench.transport.is_closing(), "it has taken ten bytes meanwhile"
        bench.sweep(2.0)
        assert bench.transport.is_closing()

    asyncio.run(scenario())


def test_a_request_that_takes_long_has_no_deadline_here() -> None:
    async def scenario() -> None:
        async def app(scope: Message, receive: Receive, send: Send) -> None:
            await asyncio.Event().wait()

        bench = Bench(app)
        await bench.feed(GET)
        bench.sweep(1000.0)
        assert not bench.transport.is_shut
        assert [entry.path for entry in bench.server.in_flight()] == ["/"]
        bench.server.abort()
        await settle()
        assert bench.transport.is_closing()
        assert bench.server.in_flight() == []
        assert not bench.heard.all("request.failed")

    asyncio.run(scenario())


LONG = b"x" * 100


@pytest.mark.parametrize("parser", PARSERS)
@pytest.mark.parametrize(
    ("request_bytes", "status"),
    [
        (b"GET /" + LONG + b" HTTP/1.1\r\nHost: x\r\n\r\n", 414),
        (b"GET /" + LONG, 414),
        (b"GET / HTTP/1.1\r\nHost: x\r\nA: " + LONG * 3 + b"\r\n\r\n", 431),
        (b"GET / HTTP/1.1\r\nHost: x\r\nA: " + LONG * 3, 431),
        (b"GET / HTTP/1.1\r\nHost: x\r\n" + b"A: b\r\n" * 6 + b"\r\n", 431),
        (b"GET / HTTP/1.1\r\nHost: x\r\n" + b"A: b\r\n" * 4 + b"\r\n", 200),
    ],
)
def test_limits_are_kept(request_bytes: bytes, status: int, parser: str) -> None:
    async def scenario() -> None:
        limits = {"limit_request_line": 64, "limit_header_bytes": 256, "limit_request_fields": 5}
        bench = Bench(http=parser, **limits)
        await bench.feed(request_bytes)
        assert bench.statuses() == [status]
        bench = Bench(http=parser, **limits)
        for byte in request_bytes:
            await bench.feed(bytes([byte]))
        assert bench.statuses() == [status]

    asyncio.run(scenario())


def test_pipelined_requests_beyond_the_mark_pause_reading_and_are_all_answered() -> None:
    async def scenario() -> None:
        gate = asyncio.Event()

        async def app(scope: Message, receive: Receive, send: Send) -> None:
            await gate.wait()
            await reply(send, b"")

        bench = Bench(app)
        number = 65536 // len(GET) + 10
        await bench.feed(GET * number)
        assert bench.transport.is_reading_paused
        assert len(bench.server.in_flight()) == 1, "nothing is parsed ahead"
        gate.set()
        await until(lambda: len(bench.statuses()) == number)
        assert not bench.transport.is_reading_paused

    asyncio.run(scenario())


def test_a_malformed_body_is_refused_and_the_application_is_told_of_a_disconnect() -> None:
    async def scenario() -> None:
        bench = Bench()
        await bench.feed(b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n")
        await bench.feed(b"zz\r\n")
        assert bench.statuses() == [400]
        assert bench.transport.is_shut
        assert bench.server.in_flight() == []
        (refused,) = bench.heard.all("request.refused")
        assert refused["status"] == 400

    asyncio.run(scenario())


def test_a_malformed_body_behind_the_start_of_a_response_cuts_it() -> None:
    async def scenario() -> None:
        async def app(scope: Message, receive: Receive, send: Send) -> None:
            await send({"type": "http.response.start", "status": 200})
            await send({"type": "http.response.body", "body": b"a", "more_body": True})
            await receive()

        bench = Bench(app)
        await bench.feed(b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
        await bench.feed(b"zz\r\n")
        (response,) = parse_responses(bench.transport.written)
        assert (response.status, response.is_whole) == (200, False)
        assert bench.transport.is_closing()

    asyncio.run(scenario())


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
def test_a_refusal_arrives_whole_although_the_client_goes_on_sending(loop: str) -> None:
    async def scenario() -> None:
        async with serving(reflect) as served:
            client = await served.connect()
            client.send(b"GET / HTTP/1.1\r\n\r\n" + b"x" * 500_000)
            said = await client.rest()
            assert said.startswith(b"HTTP/1.1 400 Bad Request\r\n")
            assert said.endswith(b"exactly one Host is required\n")

    run(scenario(), loop=loop)


def test_a_refused_request_costs_a_line_in_the_log_and_nothing_else() -> None:
    async def scenario() -> None:
        bench = Bench()
        for _ in range(100):
            transport = PipeTransport(Http1Connection(bench.server, bench.server.http1, ("192.0.2.1", 5)))
            transport.feed(b"\x00garbage\r\n\r\n")
            assert transport.is_shut
            transport.lose()
        assert len(bench.heard.all("request.refused")) == 100
        await bench.feed(GET)
        assert bench.statuses() == [200]
        assert bench.server.figures().responses == (0, 1, 0, 100, 0)

    asyncio.run(scenario())
