"""An answer before the request's body has come: what its head promises is kept, and the client can read it."""

# ruff: noqa: ARG001 - an ASGI application takes three arguments, whether it needs them or not

from __future__ import annotations

import asyncio
import contextlib

import pytest

from server_core.asgi.http_exchange import Message, Receive, Send
from server_core.http1.connection import Http1Connection
from server_core.http1.keep_alive import DISCARD_LIMIT
from server_core.transport import closing
from server_core.transport.closing import LINGER_RATE
from server_core.transport.socket_info import Arrivals, arrivals
from tests.helpers.bench import Bench
from tests.helpers.certificates import authority, localhost
from tests.helpers.http import GET, PARSERS, Client, Response, Served, reply, run, serving, until

LOOPS = ("asyncio", "uvloop")
PART = b"x" * 100
TLS = {"ssl_certfile": (localhost().certificate,), "ssl_keyfile": (localhost().key,)}


def counted(size: int, more: bytes = b"") -> bytes:
    return b"POST / HTTP/1.1\r\nhost: x\r\n%bcontent-length: %d\r\n\r\n" % (more, size)


CHUNKED = b"POST / HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n"
CHUNK = b"64\r\n" + PART + b"\r\n"
EXPECTS = b"expect: 100-continue\r\n"


async def unread(scope: Message, receive: Receive, send: Send) -> None:
    await reply(send, b"no", 401)


async def unread_in_parts(scope: Message, receive: Receive, send: Send) -> None:
    await send({"type": "http.response.start", "status": 401, "headers": []})
    await send({"type": "http.response.body", "body": b"n", "more_body": True})
    await send({"type": "http.response.body", "body": b"o"})


async def first_part(scope: Message, receive: Receive, send: Send) -> None:
    """Asks for the body, so that the client is told to go on, and answers after its first part."""
    if scope["method"] == "POST":
        await receive()
    await reply(send, b"no", 401)


async def connected(served: Served, tls: bool) -> Client:
    return await served.connect(authority().client() if tls else None)


def says_close(response: Response) -> bool:
    assert response.status == 401
    assert response.body == b"no"
    return response.headers.get("connection") == "close"


@pytest.mark.parametrize("app", [unread, unread_in_parts, first_part])
@pytest.mark.parametrize("tls", [False, True], ids=["plain", "tls"])
@pytest.mark.parametrize("parser", PARSERS)
@pytest.mark.parametrize("loop", LOOPS)
def test_a_connection_that_is_not_closed_in_the_head_is_kept(loop: str, parser: str, tls: bool, app: object) -> None:
    kept = [
        (counted(200) + PART, PART),
        (counted(DISCARD_LIMIT + 100) + PART, b"x" * DISCARD_LIMIT),
        (CHUNKED + CHUNK + b"0\r\n\r\n", b""),
    ]

    async def scenario() -> None:
        async with serving(app, http=parser, **(TLS if tls else {})) as served:  # type: ignore[arg-type]  # an application
            client = await connected(served, tls)
            for sent, rest in kept:
                assert not says_close(await client.get(sent))
                assert not says_close(await client.get(rest + GET))

    run(scenario(), loop=loop)


@pytest.mark.parametrize("app", [unread, unread_in_parts, first_part])
@pytest.mark.parametrize("tls", [False, True], ids=["plain", "tls"])
@pytest.mark.parametrize("parser", PARSERS)
@pytest.mark.parametrize("loop", LOOPS)
def test_a_connection_that_cannot_be_kept_is_closed_in_the_head(loop: str, parser: str, tls: bool, app: object) -> None:
    closed = [counted(1 << 40) + PART, counted(DISCARD_LIMIT + 101) + PART, CHUNKED + CHUNK]

    async def scenario() -> None:
        async with serving(app, http=parser, **(TLS if tls else {})) as served:  # type: ignore[arg-type]  # as above
            for sent in closed:
                client = await connected(served, tls)
                assert says_close(await client.get(sent))
                client.send(PART + GET)
                assert await client.rest() == b"", "nothing behind the last answer"

    run(scenario(), loop=loop)


@pytest.mark.parametrize("tls", [False, True], ids=["plain", "tls"])
@pytest.mark.parametrize("loop", LOOPS)
def test_a_client_that_was_told_to_go_on_is_kept_and_one_that_was_not_is_closed(loop: str, tls: bool) -> None:
    async def scenario() -> None:
        async with serving(first_part, **(TLS if tls else {})) as served:
            client = await connected(served, tls)
            client.send(counted(200, EXPECTS))
            assert (await client.response()).status == 100
            assert not says_close(await client.get(PART))
            assert not says_close(await client.get(PART + GET))
            client.send(counted(DISCARD_LIMIT + 101, EXPECTS))
            assert (await client.response()).status == 100
            assert says_close(await client.get(PART))
        async with serving(unread, **(TLS if tls else {})) as served:
            client = await connected(served, tls)
            assert says_close(await client.get(counted(200, EXPECTS)))

    run(scenario(), loop=loop)


@pytest.mark.parametrize("tls", [False, True], ids=["plain", "tls"])
@pytest.mark.parametrize("loop", LOOPS)
def test_a_client_reads_its_answer_when_it_has_written_all(loop: str, tls: bool) -> None:
    """Sixteen times what is promised to be read, none of it before the answer has gone out, nor read by anybody."""
    size = 16 * DISCARD_LIMIT

    async def scenario() -> None:
        async with serving(unread, **(TLS if tls else {})) as served:
            client = await connected(served, tls)
            client.send(counted(size))
            await until(lambda: sum(served.server.responses[400:500]))
            # A TLS client of asyncio's or uvloop's gives up its own half when it hears the server's goodbye
            with contextlib.suppress(*([ConnectionError] if tls else [])):
                for _ in range(0, size, 65536):
                    client.send(bytes(65536))
                    await client.writer.drain()
            assert says_close(await client.response())

    run(scenario(), loop=loop)


@pytest.mark.parametrize("loop", LOOPS)
def test_an_application_that_answers_while_it_reads_gets_all_of_the_body(loop: str) -> None:
    size = 4 * DISCARD_LIMIT

    async def app(scope: Message, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"counting ", "more_body": True})
        total, more = 0, True
        while more:
            message = await receive()
            total, more = total + len(message["body"]), bool(message["more_body"])  # type: ignore[arg-type]  # bytes
        await send({"type": "http.response.body", "body": b"%d" % total})

    async def scenario() -> None:
        async with serving(app) as served:
            client = await served.connect()
            client.send(counted(size))
            await until(lambda: served.server.responses[200])
            client.send(bytes(size))
            response = await client.response()
            assert response.body == b"counting %d" % size
            assert response.headers["connection"] == "close"

    run(scenario(), loop=loop)


@pytest.mark.parametrize("parser", PARSERS)
def test_what_is_read_for_nothing_has_a_deadline_and_a_rate(parser: str) -> None:
    async def scenario(parts: list[tuple[float, bytes]]) -> bool:
        """Whether it is still open when so much has come after so many seconds each."""
        bench = Bench(unread, http=parser, body_timeout=30.0, body_min_rate=100)
        await bench.feed(counted(100_000))
        assert bench.statuses() == [401]
        for after_s, data in parts:
            bench.sweep(after_s)
            await bench.feed(data)
        bench.sweep(1.0)
        return not bench.transport.is_shut

    def stays(*parts: tuple[float, bytes]) -> bool:
        return asyncio.run(scenario(list(parts)))

    assert stays((28.0, b"")), "30 s"
    assert not stays((15.0, b""), (15.0, b"")), "nothing at all"
    assert not stays((15.0, b"x"), (14.0, b""), (14.0, b"x")), "30 s and 0.01 s for each byte"
    assert stays(*((20.0, b"x" * 2000) for _ in range(10))), "however long it lasts at that rate"
    assert not stays(*((20.0, b"x" * 1000) for _ in range(10))), "half of it"
    assert not stays((20.0, b"x" * 9000), (31.0, b"")), "but not in one piece before a silence"


def test_the_next_request_has_the_keep_alive_timeout_from_the_end_of_the_body() -> None:
    async def scenario() -> None:
        bench = Bench(unread, keep_alive=10.0, body_timeout=30.0)
        await bench.feed(counted(100))
        bench.sweep(9.0)
        await bench.feed(PART)
        bench.sweep(9.0)
        assert not bench.transport.is_shut
        bench.sweep(2.0)
        assert bench.transport.is_shut

    asyncio.run(scenario())


@pytest.mark.parametrize("draining", [False, True])
def test_a_client_that_goes_on_sending_is_read_for_longer(draining: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(closing, "LINGER_S", 0.001)
    enough = int(LINGER_RATE * 0.001) + 1
    script = [Arrivals(100, 0.0), Arrivals(100 + enough, 9.0), Arrivals(100 + 2 * enough, 9.0)]
    looks = iter([*script, Arrivals(100 + 2 * enough, 0.0)])
    seen: list[Arrivals] = []

    def look(_transport: object) -> Arrivals:
        seen.append(next(looks))
        return seen[-1]

    monkeypatch.setattr(closing, "arrivals", look)

    async def scenario() -> None:
        bench = Bench(unread)
        await bench.feed(counted(1 << 40))
        bench.server.draining = draining
        assert bench.transport.is_shut
        await until(bench.transport.is_closing)

    run(scenario())
    assert len(seen) == (0 if draining else 4), "until nothing came since the last look"


def test_but_not_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(closing, "LINGER_S", 0.001)
    monkeypatch.setattr(closing, "LINGER_LONGEST_S", 0.01)
    monkeypatch.setattr(closing, "arrivals", lambda _transport: Arrivals(0, 0.0))
    monkeypatch.setattr(closing, "LINGER_RATE", 0)

    async def scenario() -> None:
        bench = Bench(unread)
        await bench.feed(counted(1 << 40))
        await until(bench.transport.is_closing)

    run(scenario())


@pytest.mark.parametrize("loop", LOOPS)
def test_the_kernel_counts_what_comes(loop: str) -> None:
    async def scenario() -> None:
        async with serving(unread) as served:
            client = await served.connect()
            request = counted(5000)
            await client.get(request)
            (connection,) = served.server.connections
            assert isinstance(connection, Http1Connection)

            def total() -> int:
                found = arrivals(connection.transport)
                assert found is not None
                return found.total

            if total() == 0:
                pytest.skip("not by this kernel")
            assert total() == len(request)
            client.send(bytes(4000))
            await until(lambda: total() == len(request) + 4000)

    run(scenario(), loop=loop)
