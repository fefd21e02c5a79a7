"""What stays behind of a connection that is gone, and what one connection leaves to the others: nothing."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from server_core.asgi.http_exchange import Message, Receive, Send
from server_core.http1.connection import Http1Connection
from server_core.http1.pipelining import HIGH_WATER
from server_core.http1.reader import H1Reader
from server_core.http1.stream import Http1Stream
from server_core.transport.tls_transport import TlsTransport
from tests.helpers.bench import Bench
from tests.helpers.certificates import authority, localhost
from tests.helpers.http import GET, reflect, run, serving, until

LOOPS = ("asyncio", "uvloop")
PARSERS = ("httptools", "h11")
CLOSING = GET.replace(b"\r\n\r\n", b"\r\nconnection: close\r\n\r\n")


def alive() -> int:
    """How many objects of connections there are in this process."""
    return sum(isinstance(thing, (Http1Connection, Http1Stream, H1Reader, TlsTransport)) for thing in gc.get_objects())


@contextmanager
def without_collector() -> Iterator[None]:
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


@pytest.mark.parametrize("loop", LOOPS)
@pytest.mark.parametrize("is_tls", [False, True])
@pytest.mark.parametrize("request_head", [b"", GET, CLOSING])
def test_what_belonged_to_a_connection_goes_without_the_collector(request_head: bytes, is_tls: bool, loop: str) -> None:
    pair = localhost()
    settings: dict[str, object] = {"ssl_certfile": (pair.certificate,), "ssl_keyfile": (pair.key,)} if is_tls else {}

    async def scenario() -> None:
        async with serving(reflect, **settings) as served:  # type: ignore[arg-type]  # as the command line would
            with without_collector():
                before = alive()
                client = await served.connect(authority().client() if is_tls else None)
                await until(lambda: served.server.connections)
                if request_head:
                    client.send(request_head)
                    await client.response()
                client.close()
                await until(lambda: not served.server.connections and alive() == before)

    run(scenario(), loop=loop)


def test_an_application_may_take_what_has_come_of_a_body_when_its_connection_is_gone() -> None:
    taken: list[Message] = []

    async def scenario() -> None:
        is_gone = asyncio.get_running_loop().create_future()

        async def app(scope: Message, receive: Receive, send: Send) -> None:  # noqa: ARG001 - an ASGI application's
            await is_gone
            taken.extend([await receive(), await receive()])

        bench = Bench(app)
        length = b"content-length: %d" % (3 * HIGH_WATER)
        await bench.feed(GET.replace(b"GET", b"POST").replace(b"\r\n\r\n", b"\r\n%b\r\n\r\n" % length))
        await bench.feed(b"x" * 2 * HIGH_WATER)
        assert bench.transport.is_reading_paused
        bench.transport.lose()
        is_gone.set_result(None)
        await until(lambda: not bench.server.in_flight())

    run(scenario())
    assert [message["type"] for message in taken] == ["http.request", "http.disconnect"]
    assert len(taken[0]["body"]) == 2 * HIGH_WATER  # type: ignore[arg-type]  # bytes


@pytest.mark.parametrize("http", PARSERS)
@pytest.mark.parametrize(
    ("request_head", "status"),
    [
        (b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 5\r\n\r\n", None),  # its body is still to come
        (b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 5\r\nhost: y\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\ncontent-length: 5\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 5\r\nexpect: a miracle\r\n\r\n", 417),
        (b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 5" + b"\r\na: b" * 200 + b"\r\n\r\n", 431),
        (b"GET / HTTP/1.1\r\nhost: x\r\nupgrade: h2c\r\nconnection: upgrade\r\n\r\n", 200),
        (b"CONNECT x:80 HTTP/1.1\r\nhost: x:80\r\n\r\n", 501),
        (b"GET / HTTP/1.0\r\n\r\n", 200),
        (b"GET / HTTP/1.1\r\nhost: x\r\na\0: b\r\n\r\n", 400),
        (CLOSING, 200),
    ],
)
def test_whatever_one_connection_sends_another_is_read_from_the_beginning(
    request_head: bytes, status: int | None, http: str
) -> None:
    """One parser serves them all, a head at a time."""

    async def scenario() -> None:
        async with serving(reflect, http=http) as served:
            before, one, after = [await served.connect() for _ in range(3)]
            assert (await before.get()).status == 200
            one.send(request_head)
            if status is not None:
                assert (await one.response()).status == status
            else:
                await until(lambda: served.server.requests_total == 2)
            for client in (before, after, before):
                response = await client.get()
                assert response.status == 200
                assert b"GET" in response.body or response.body == b""

    run(scenario())
