"""A head goes out alone where its body does not follow at once, and together with it where it does."""

# ruff: noqa: ARG001 - an ASGI application takes three arguments, whether it needs them or not

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

from server_core.asgi.http_exchange import Message, Receive, Send
from server_core.http1.held_heads import TURNS, HeldHeads
from tests.conformance.play import Turn
from tests.helpers.certificates import authority, localhost
from tests.helpers.http import GET, PARSERS, Client, parse_responses, reply, run, serving, until

LOOPS = ("asyncio", "uvloop")
START, BODY = "http.response.start", "http.response.body"
TLS = {"ssl_certfile": (localhost().certificate,), "ssl_keyfile": (localhost().key,)}
OLD = b"GET / HTTP/1.0\r\nconnection: keep-alive\r\n\r\n"
HEAD = GET.replace(b"GET", b"HEAD")


def start(*headers: tuple[bytes, bytes], status: int = 200, **more: object) -> Message:
    return {"type": START, "status": status, "headers": list(headers), **more}


class Gated:
    """Starts its response at once, or behind a first gate; goes on behind a second one."""

    def __init__(self, begins: Message, goes_on: Callable[[Send], object], *, is_late: bool = False) -> None:
        self.first, self.second = asyncio.Event(), asyncio.Event()
        self._begins = begins
        self._goes_on = goes_on
        if not is_late:
            self.first.set()

    async def __call__(self, _scope: Message, _receive: Receive, send: Send) -> None:
        await self.first.wait()
        await send(self._begins)
        await self.second.wait()
        await self._goes_on(send)  # type: ignore[misc]  # a coroutine


async def body(send: Send) -> None:
    await send({"type": BODY, "body": b"late"})


async def nothing(send: Send) -> None:
    await send({"type": BODY})


async def failure(send: Send) -> None:
    raise ValueError("behind the head")


async def trailers(send: Send) -> None:
    await body(send)
    await send({"type": "http.response.trailers", "headers": [(b"x-sum", b"1")]})


async def file(send: Send) -> None:
    await send({"type": "http.response.pathsend", "path": __file__})


async def hint(send: Send) -> None:
    await send({"type": "http.response.early_hint", "links": [b"</a>; rel=preload"]})
    await body(send)


async def head_of(client: Client) -> bytes:
    return (await client.reader.readuntil(b"\r\n\r\n")).lower()


LENGTH = (b"content-length", b"4")
CASES = [
    ("a length", GET, start(LENGTH), body, b"content-length: 4\r\n", b"late"),
    ("no length", GET, start(), body, b"transfer-encoding: chunked\r\n", b"4\r\nlate\r\n0\r\n\r\n"),
    ("HTTP/1.0", OLD, start(), body, b"connection: close\r\n", b"late"),
    ("HTTP/1.0, a length", OLD, start(LENGTH), body, b"connection: keep-alive\r\n", b"late"),
    ("HEAD", HEAD, start(LENGTH), nothing, b"content-length: 4\r\n", b""),
    ("204", GET, start(status=204), nothing, b"204 no content\r\n", b""),
    ("304", GET, start(status=304), nothing, b"304 not modified\r\n", b""),
    ("a hint", GET, start(LENGTH), hint, b"200 ok\r\n", b"late"),
    ("a failure", GET, start(LENGTH), failure, b"200 ok\r\n", b""),
    ("a file", GET, start(), file, b"chunked\r\n", Path(__file__).read_bytes()[:20]),
    (
        *("trailers", GET.replace(b"\r\n\r\n", b"\r\nte: trailers\r\n\r\n"), start(trailers=True), trailers),
        *(b"chunked\r\n", b"4\r\nlate\r\n0\r\nx-sum: 1\r\n\r\n"),
    ),
]


@pytest.mark.parametrize("is_late", [False, True], ids=["first step", "later step"])
@pytest.mark.parametrize("parser", PARSERS)
@pytest.mark.parametrize("loop", LOOPS)
def test_a_head_goes_out_while_its_body_is_waited_for(loop: str, parser: str, is_late: bool) -> None:
    async def case(name: str, asked: bytes, begins: Message, goes_on: Callable[[Send], object]) -> tuple[bytes, bytes]:
        app = Gated(begins, goes_on, is_late=is_late)
        async with serving(app, http=parser) as served:
            client = await served.connect()
            client.send(asked)
            await until(served.server.in_flight)
            app.first.set()
            head = await head_of(client)
            assert sum(served.server.responses) == 1, name
            app.second.set()
            client.writer.write_eof()
            return head, await client.rest()

    async def scenario() -> None:
        for name, asked, begins, goes_on, in_head, behind in CASES:
            head, rest = await case(name, asked, begins, goes_on)
            assert in_head in head, name
            if goes_on is file:
                assert behind in rest, name
            else:
                assert rest == behind, name

    run(scenario(), loop=loop)


@pytest.mark.parametrize("loop", LOOPS)
def test_a_head_goes_out_over_tls(loop: str) -> None:
    async def scenario() -> None:
        app = Gated(start(LENGTH), body)
        async with serving(app, **TLS) as served:
            client = await served.connect(authority().client())
            client.send(GET)
            assert b"content-length: 4" in await head_of(client)
            app.second.set()
            assert await client.reader.readexactly(4) == b"late"

    run(scenario(), loop=loop)


@pytest.mark.parametrize("turns", range(4))
@pytest.mark.parametrize("loop", LOOPS)
def test_a_body_that_follows_within_a_few_turns_leaves_with_its_head(loop: str, turns: int) -> None:
    """It has a length then, which nobody knew when the head was started. Two turns are BaseHTTPMiddleware's."""

    async def app(scope: Message, receive: Receive, send: Send) -> None:
        await send(start())
        for _ in range(turns):
            await Turn()
        await send({"type": BODY, "body": b"soon"})

    async def scenario() -> None:
        async with serving(app) as served:
            client = await served.connect()
            for _ in range(3):
                assert (await client.get()).headers["content-length"] == "4"

    run(scenario(), loop=loop)


def test_of_many_that_have_suspended_each_head_goes_out() -> None:
    async def scenario() -> None:
        app = Gated(start(LENGTH), body)
        async with serving(app) as served:
            clients = [await served.connect() for _ in range(20)]
            for client in clients:
                client.send(GET)
            for client in clients:
                assert b"content-length: 4" in await head_of(client)
            app.second.set()
            for client in clients:
                assert await client.reader.readexactly(4) == b"late"

    run(scenario())


def test_the_answer_before_it_in_a_pipeline_goes_out_with_it() -> None:
    gate = asyncio.Event()

    async def app(scope: Message, receive: Receive, send: Send) -> None:
        if scope["path"] != "/":
            await reply(send, b"first")
            return
        await send(start(LENGTH))
        await gate.wait()
        await body(send)

    async def scenario() -> None:
        async with serving(app) as served:
            client = await served.connect()
            client.send(GET.replace(b"/ ", b"/first ") + GET + GET)
            assert (await client.response()).body == b"first"
            assert b"content-length: 4" in await head_of(client)
            gate.set()
            assert (await client.reader.readexactly(4)) == b"late"
            assert (await client.response()).body == b"late"

    run(scenario())


def test_an_application_that_fails_at_once_is_still_a_500() -> None:
    async def app(scope: Message, receive: Receive, send: Send) -> None:
        await send(start(LENGTH))
        if scope["path"] != "/":
            await Turn()
        raise ValueError("behind the start")

    async def scenario() -> None:
        async with serving(app) as served:
            client = await served.connect()
            assert (await client.get()).status == 500
            assert (await client.get(GET.replace(b"/ ", b"/later "))).status == 500

    run(scenario())


class Waiting(SimpleNamespace):
    """A connection, which is itself and no value."""

    __hash__ = object.__hash__


@pytest.mark.parametrize(("is_open", "is_busy", "sent"), [(True, True, 1), (False, True, 0), (True, False, 0)])
def test_a_head_goes_out_alone_only_to_a_client_that_still_waits(is_open: bool, is_busy: bool, sent: int) -> None:
    """The client may go, or the response end, between two looks: what is held then belongs to no response any more."""
    looks: list[Callable[[], None]] = []
    written: list[object] = []
    connection = Waiting(
        writer=SimpleNamespace(is_held=True),
        is_open=is_open,
        is_busy=is_busy,
        exchange=None,
        respond=lambda *what: written.append(what),
        flush=lambda: None,
    )
    server = SimpleNamespace(requests_total=1, loop=SimpleNamespace(call_soon=looks.append))
    held_heads = HeldHeads(server)  # type: ignore[arg-type]  # all that it asks of one
    held_heads.starting = connection  # type: ignore[assignment]  # as above
    held_heads.note(None)
    for _ in range(TURNS + 1):
        assert not written, "it waits so many turns for a body"
        looks.pop()()
    assert len(written) == sent


def test_there_is_one_look_for_all_requests_of_a_turn() -> None:
    looks: list[Callable[[], None]] = []
    server = SimpleNamespace(requests_total=0, loop=SimpleNamespace(call_soon=looks.append))
    held_heads = HeldHeads(server)  # type: ignore[arg-type]  # all that it asks of one
    held_heads.expect()
    assert not looks, "nothing was begun"
    server.requests_total = 100
    for _ in range(3):
        held_heads.expect()
        held_heads.note(None)
    assert len(looks) == 1
    assert held_heads.is_looked_after
    looks.pop()()
    held_heads.expect()
    assert not looks, "nothing has begun since, and nothing is held"
    assert not held_heads.is_looked_after


def test_written_responses_are_whole_however_late_each_part_is() -> None:
    async def app(scope: Message, receive: Receive, send: Send) -> None:
        await Turn()
        await send(start())
        for _ in range(int(str(scope["path"])[1:])):
            await Turn()
        await send({"type": BODY, "body": b"a", "more_body": True})
        await Turn()
        await send({"type": BODY, "body": b"b"})

    async def scenario() -> None:
        async with serving(app) as served:
            client = await served.connect()
            for turns in range(3 * TURNS):
                client.send(GET.replace(b"/ ", b"/%d " % turns))
            client.writer.write_eof()
            assert [response.body for response in parse_responses(await client.rest())] == [b"ab"] * 3 * TURNS

    run(scenario())
