"""How much of a body, of the application and of time one request may have, and what its client is told."""

# ruff: noqa: ARG001, ARG002 - an ASGI application takes three arguments, whether it needs them or not

from __future__ import annotations

import asyncio

import pytest

from server_core.asgi.http_exchange import Message, Receive, Send
from tests.helpers.bench import Bench, settle
from tests.helpers.http import GET, PARSERS, parse_responses, reply, run, serving, until

POST = b"POST / HTTP/1.1\r\nHost: x\r\n"
CHUNKED = POST + b"Transfer-Encoding: chunked\r\n\r\n"


class Reader:
    """An application that reads to the end, and notes what it was handed."""

    def __init__(self) -> None:
        self.heard: list[Message] = []

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        more: object = True
        while more:
            message = await receive()
            self.heard.append(message)
            more = message.get("more_body")
        await reply(send, b"read")


# limit-body


@pytest.mark.parametrize("parser", PARSERS)
def test_a_length_beyond_limit_body_is_answered_413_before_the_application_runs(parser: str) -> None:
    async def scenario() -> None:
        app = Reader()
        bench = Bench(app, limit_body=10, http=parser)
        await bench.feed(POST + b"Content-Length: 11\r\n\r\n")
        assert bench.statuses() == [413]
        assert bench.transport.is_shut
        assert not app.heard
        assert bench.server.requests_total == 0

    asyncio.run(scenario())


def test_a_client_that_asks_first_is_told_413_and_not_to_continue() -> None:
    async def scenario() -> None:
        bench = Bench(Reader(), limit_body=10)
        await bench.feed(POST + b"Content-Length: 11\r\nExpect: 100-continue\r\n\r\n")
        assert bench.statuses() == [413]

    asyncio.run(scenario())


@pytest.mark.parametrize("framing", [b"Content-Length: 10\r\n\r\n0123456789", b"Transfer-Encoding: chunked\r\n\r\n"])
def test_a_body_of_exactly_limit_body_is_read(framing: bytes) -> None:
    async def scenario() -> None:
        bench = Bench(Reader(), limit_body=10)
        await bench.feed(POST + framing)
        if b"chunked" in framing:
            await bench.feed(b"6\r\n012345\r\n4\r\n6789\r\n0\r\n\r\n")
        assert bench.statuses() == [200]

    asyncio.run(scenario())


def test_a_chunk_that_passes_limit_body_is_answered_413_by_its_size() -> None:
    async def scenario() -> None:
        app = Reader()
        bench = Bench(app, limit_body=10)
        await bench.feed(CHUNKED + b"6\r\n012345\r\n")
        await bench.feed(b"5\r\n")
        await settle()
        assert bench.statuses() == [413]
        assert bench.transport.is_shut
        assert [message["type"] for message in app.heard] == ["http.request", "http.disconnect"]
        assert not bench.heard.all("request.failed")
        assert bench.server.figures().responses[3] == 1, "counted once"

    asyncio.run(scenario())


def test_a_body_that_passes_limit_body_behind_the_start_of_a_response_cuts_it() -> None:
    async def scenario() -> None:
        async def app(scope: Message, receive: Receive, send: Send) -> None:
            await send({"type": "http.response.start", "status": 200})
            await send({"type": "http.response.body", "body": b"a", "more_body": True})
            while (await receive())["type"] != "http.disconnect":
                pass

        bench = Bench(app, limit_body=10)
        await bench.feed(CHUNKED + b"6\r\n012345\r\n")
        await bench.feed(b"5\r\n")
        (response,) = parse_responses(bench.transport.written)
        assert (response.status, response.is_whole) == (200, False)
        assert bench.transport.is_closing()

    asyncio.run(scenario())


def test_a_body_that_passes_limit_body_behind_its_response_is_read_no_further() -> None:
    async def scenario() -> None:
        async def app(scope: Message, receive: Receive, send: Send) -> None:
            await reply(send, b"early")

        bench = Bench(app, limit_body=10)
        await bench.feed(CHUNKED + b"6\r\n012345\r\n")
        await bench.feed(b"5\r\n")
        assert bench.statuses() == [200], "a second answer would be taken for that to another request"
        assert bench.transport.is_shut

    asyncio.run(scenario())


# body-min-rate


async def trickled(bench: Bench, seconds: int, data: bytes = b"x") -> None:
    for _ in range(seconds):
        await bench.feed(data)
        bench.sweep(1.0)


def test_a_body_that_trickles_is_answered_408_once_body_timeout_has_been_waited() -> None:
    async def scenario() -> None:
        bench = Bench(Reader(), body_timeout=30.0, body_min_rate=240)
        await bench.feed(POST + b"Content-Length: 4096\r\n\r\n")
        await trickled(bench, 29)
        assert bench.statuses() == []
        await trickled(bench, 3)
        assert bench.statuses() == [408]

    asyncio.run(scenario())


@pytest.mark.parametrize("framing", [b"Content-Length: 99999\r\n\r\n", b"Transfer-Encoding: chunked\r\n\r\n"])
def test_a_body_at_the_rate_goes_on_for_as_long_as_it_likes(framing: bytes) -> None:
    async def scenario() -> None:
        bench = Bench(Reader(), body_timeout=30.0, body_min_rate=240)
        await bench.feed(POST + framing)
        await trickled(bench, 200, b"f0\r\n" + b"x" * 240 + b"\r\n" if b"chunked" in framing else b"x" * 240)
        assert bench.statuses() == []

    asyncio.run(scenario())


def test_a_rate_of_0_asks_for_progress_only() -> None:
    async def scenario() -> None:
        bench = Bench(Reader(), body_timeout=30.0, body_min_rate=0)
        await bench.feed(POST + b"Content-Length: 4096\r\n\r\n")
        await trickled(bench, 100)
        assert bench.statuses() == []

    asyncio.run(scenario())


def test_the_time_in_which_nobody_waits_for_the_body_is_not_the_clients() -> None:
    async def scenario() -> None:
        gate = asyncio.Event()

        async def app(scope: Message, receive: Receive, send: Send) -> None:
            await receive()
            await gate.wait()
            await Reader()(scope, receive, send)

        bench = Bench(app, body_timeout=30.0, body_min_rate=240)
        await bench.feed(POST + b"Content-Length: 3\r\n\r\nx")
        bench.sweep(500.0)
        gate.set()
        await settle()
        bench.sweep(1.0)
        assert bench.statuses() == []
        await bench.feed(b"xx")
        assert bench.statuses() == [200]

    asyncio.run(scenario())


def test_a_stream_both_ways_has_no_rate() -> None:
    async def scenario() -> None:
        async def app(scope: Message, receive: Receive, send: Send) -> None:
            await send({"type": "http.response.start", "status": 200})
            while (message := await receive())["type"] != "http.disconnect":
                await send({"type": "http.response.body", "body": b"y", "more_body": message["more_body"]})

        bench = Bench(app, body_timeout=30.0, body_min_rate=240)
        await bench.feed(CHUNKED)
        await trickled(bench, 100, b"1\r\nx\r\n")
        assert bench.transport.written.endswith(b"1\r\ny\r\n")
        assert not bench.transport.is_shut

    asyncio.run(scenario())


# request-timeout


def late(bench: Bench) -> None:
    """Let every request under way have begun 100 s ago."""
    for connection in bench.server.connections:
        if connection.stream.exchange is not None:
            connection.stream.exchange.started_at -= 100.0
    bench.sweep(1.0)


def test_a_request_beyond_request_timeout_is_answered_504_and_its_application_is_cancelled() -> None:
    async def scenario() -> None:
        ended: list[str] = []

        async def app(scope: Message, receive: Receive, send: Send) -> None:
            try:
                await asyncio.Event().wait()
            finally:
                ended.append("cancelled")

        bench = Bench(app, request_timeout=60.0)
        await bench.feed(GET)
        bench.sweep(30.0)
        assert bench.statuses() == []
        late(bench)
        await settle()
        assert bench.statuses() == [504]
        assert bench.transport.is_shut
        assert ended == ["cancelled"]
        assert not bench.heard.all("request.failed")
        (expired,) = bench.heard.all("request.expired")
        assert (expired["method"], expired["path"]) == ("GET", "/")
        assert bench.server.figures().responses == (0, 0, 0, 0, 1)
        assert bench.server.in_flight() == []

    asyncio.run(scenario())


@pytest.mark.parametrize("fields", [[], [(b"content-length", b"5")]], ids=["chunked", "counted"])
@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
def test_a_response_beyond_request_timeout_is_reset(loop: str, fields: list[tuple[bytes, bytes]]) -> None:
    async def scenario() -> None:
        cancelled = asyncio.Event()

        async def app(scope: Message, receive: Receive, send: Send) -> None:
            await send({"type": "http.response.start", "status": 200, "headers": fields})
            await send({"type": "http.response.body", "body": b"begun", "more_body": True})
            try:
                await asyncio.Event().wait()
            finally:
                cancelled.set()

        async with serving(app, request_timeout=1e-9) as served:
            client = await served.connect()
            client.send(GET)
            await client.reader.readuntil(b"begun")
            served.server.sweep(served.server.now)
            with pytest.raises(ConnectionResetError):
                await client.rest()
            await cancelled.wait()
            await until(lambda: not served.server.connections and not served.server.background)
            assert len(served.heard.all("request.expired")) == 1
            assert not served.heard.all("request.failed")
            assert not served.heard.all("request.refused"), "no 504 has gone out"

    run(scenario(), loop=loop)


def test_a_client_that_does_not_read_is_not_waited_for_beyond_request_timeout() -> None:
    async def scenario() -> None:
        async def app(scope: Message, receive: Receive, send: Send) -> None:
            await send({"type": "http.response.start", "status": 200})
            while True:
                await send({"type": "http.response.body", "body": b"x" * 100_000, "more_body": True})

        async with serving(app, request_timeout=1e-9) as served:
            client = await served.connect()
            client.writer.transport.pause_reading()  # type: ignore[attr-defined]  # it is a reading transport, too
            client.send(GET)
            await until(lambda: any(connection.full for connection in served.server.connections))
            served.server.sweep(served.server.now)
            await until(lambda: not served.server.connections and not served.server.background)

    run(scenario())


def test_an_application_that_goes_on_after_its_504_finds_the_client_gone() -> None:
    async def scenario() -> None:
        found: list[str] = []

        async def app(scope: Message, receive: Receive, send: Send) -> None:
            await receive()
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                found.append(str((await receive())["type"]))
                await reply(send, b"too late")

        bench = Bench(app, request_timeout=60.0)
        await bench.feed(GET)
        late(bench)
        await settle()
        assert bench.statuses() == [504]
        assert found == ["http.disconnect"]

    asyncio.run(scenario())


def test_a_handshake_that_nobody_answers_is_answered_504() -> None:
    async def scenario() -> None:
        async def app(scope: Message, receive: Receive, send: Send) -> None:
            await asyncio.Event().wait()

        bench = Bench(app, request_timeout=60.0)
        await bench.feed(
            b"GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
            b"Sec-WebSocket-Key: MDEyMzQ1Njc4OWFiY2RlZg==\r\n\r\n"
        )
        late(bench)
        await settle()
        assert bench.statuses() == [504]

    asyncio.run(scenario())


def test_without_request_timeout_a_request_may_take_for_ever() -> None:
    async def scenario() -> None:
        gate = asyncio.Event()

        async def app(scope: Message, receive: Receive, send: Send) -> None:
            await gate.wait()
            await reply(send, b"")

        bench = Bench(app)
        await bench.feed(GET)
        late(bench)
        gate.set()
        await settle()
        assert bench.statuses() == [200]

    asyncio.run(scenario())


# limit-concurrency


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
def test_a_request_beyond_limit_concurrency_is_answered_503_and_keeps_its_connection(loop: str) -> None:
    async def scenario() -> None:
        gate = asyncio.Event()

        async def app(scope: Message, receive: Receive, send: Send) -> None:
            await gate.wait()
            await reply(send, b"")

        async with serving(app, limit_concurrency=2) as served:
            clients = [await served.connect() for _ in range(3)]
            for client in clients[:2]:
                client.send(GET)
            await until(lambda: len(served.server.in_flight()) == 2)
            for _ in range(2):
                response = await clients[2].get()
                assert (response.status, response.headers["retry-after"]) == (503, "1")
                assert "connection" not in response.headers
            gate.set()
            for client in clients[:2]:
                assert (await client.response()).status == 200
            assert (await clients[2].get()).status == 200
            assert served.server.figures().overloads_total == 2
            assert len(served.heard.all("requests.limited")) == 1, "once an episode"

    run(scenario(), loop=loop)


def test_idle_connections_do_not_count_as_requests() -> None:
    async def scenario() -> None:
        async with serving(Reader(), limit_concurrency=1) as served:
            for _ in range(5):
                assert (await (await served.connect()).get()).status == 200

    run(scenario())


def test_an_application_that_fails_has_left_its_place() -> None:
    async def scenario() -> None:
        async def app(scope: Message, receive: Receive, send: Send) -> None:
            raise RuntimeError("broken")

        bench = Bench(app, limit_concurrency=1)
        await bench.feed(GET)
        assert bench.statuses() == [500]
        assert bench.server.figures().overloads_total == 0
        await bench.feed(GET)
        assert bench.statuses() == [500, 500]

    asyncio.run(scenario())
