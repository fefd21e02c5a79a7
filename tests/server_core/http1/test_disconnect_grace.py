"""What becomes of applications whose client has gone: who is ended, who is not, and what send() does meanwhile."""

# ruff: noqa: ARG001 - an ASGI application takes three arguments, whether it needs them or not

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Coroutine

import pytest

from server_core.asgi.http_exchange import Message, Receive, Send
from server_core.http1.disconnect_grace import STRANDED_BY_A_CANCEL
from tests.helpers.http import GET, Client, Served, run, serving, until

LOOPS = ("asyncio", "uvloop")
WAYS = ("reset", "close")
START: Message = {"type": "http.response.start", "status": 200}
PART: Message = {"type": "http.response.body", "body": b"a", "more_body": True}
LAST: Message = {"type": "http.response.body", "body": b"b"}
POST = b"POST /post HTTP/1.1\r\nhost: x\r\ncontent-length: 2\r\n\r\nhi"

Endpoint = Callable[[Receive, Send], Coroutine[object, object, None]]


@pytest.fixture(autouse=True)
def _without_a2wsgi(monkeypatch: pytest.MonkeyPatch) -> None:
    """Another test may have loaded it, and then nothing is cancelled."""
    monkeypatch.delitem(sys.modules, STRANDED_BY_A_CANCEL, raising=False)


class App:
    """Runs one endpoint, counts how often it has begun and ended, and serves /fence besides."""

    def __init__(self, endpoint: Endpoint) -> None:
        self.endpoint = endpoint
        self.begun = self.ended = self.fences = 0

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        if scope["path"] == "/fence":
            await send(dict(START))
            await send(dict(PART))
            try:
                await asyncio.Event().wait()
            finally:
                self.fences += 1
        self.begun += 1
        try:
            await self.endpoint(receive, send)
        finally:
            self.ended += 1


def leave(client: Client, way: str) -> None:
    client.reset() if way == "reset" else client.close()


async def pass_the_grace(served: Served, app: App) -> None:
    """Return when a stream that was left now has been ended: the grace of whatever was left before is over."""
    client = await served.connect()
    client.send(GET.replace(b"/ ", b"/fence "))
    await client.reader.readuntil(b"a")
    before = app.fences
    client.reset()
    await until(lambda: app.fences > before)


async def end_behind_the_grace(served: Served, app: App, release: asyncio.Event) -> None:
    """Let a grace pass, which must end nothing, and then the application end."""
    await pass_the_grace(served, app)
    assert not app.ended
    release.set()
    await until(lambda: app.ended)


async def waits(receive: Receive, send: Send) -> None:
    await send(dict(START))
    await send(dict(PART))
    await asyncio.Event().wait()


async def loops(receive: Receive, send: Send) -> None:
    await send(dict(START))
    while True:
        await send(dict(PART))


async def loops_deaf_to_cancellation(receive: Receive, send: Send) -> None:
    await send(dict(START))
    while True:
        try:
            await send(dict(PART))
        except asyncio.CancelledError:
            pass


async def loops_although_told(receive: Receive, send: Send) -> None:
    await send(dict(START))
    listening = asyncio.ensure_future(listen(receive))
    while True:
        await send(dict(PART))
        listening.done()


async def listen(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


@pytest.mark.parametrize("loop", LOOPS)
@pytest.mark.parametrize("way", [*WAYS, "half-close"])
@pytest.mark.parametrize("endpoint", [waits, loops, loops_deaf_to_cancellation, loops_although_told])
def test_a_response_under_way_ends_soon_after_its_client_has_gone(endpoint: Endpoint, way: str, loop: str) -> None:
    app = App(endpoint)

    async def scenario() -> None:
        async with serving(app, disconnect_grace=0.05) as served:
            for _ in range(5):
                client = await served.connect()
                client.send(GET)
                await client.reader.readuntil(b"a")
                if way == "half-close" and endpoint is waits:
                    client.writer.write_eof()
                    assert b"0\r\n\r\n" not in await client.rest(), "a part must not look like the whole"
                else:
                    leave(client, way)
            await until(lambda: app.ended == 5 and not served.server.background and not served.server.connections)
            assert not served.heard.all("request.failed")
            abandoned = served.heard.all("request.abandoned")
            assert abandoned == [{"method": "GET", "path": "/"}] * (0 if endpoint is loops_although_told else 5)

    run(scenario(), loop=loop)


@pytest.mark.parametrize("way", WAYS)
def test_a_response_of_which_only_the_head_was_sent_ends_too(way: str) -> None:
    started: list[bool] = []

    async def endpoint(receive: Receive, send: Send) -> None:
        await send(dict(START))
        started.append(True)
        await asyncio.Event().wait()

    app = App(endpoint)

    async def scenario() -> None:
        async with serving(app, disconnect_grace=0.05) as served:
            client = await served.connect()
            client.send(GET)
            await until(lambda: started)
            leave(client, way)
            await until(lambda: app.ended)

    run(scenario())


def test_a_loop_that_only_sends_to_a_client_that_has_gone_leaves_others_their_turns() -> None:
    app = App(loops)

    async def scenario() -> None:
        async with serving(app, disconnect_grace=0.0) as served:
            left, other = await served.connect(), await served.connect()
            left.send(GET)
            await left.reader.readuntil(b"a")
            left.reset()
            await until(lambda: served.server.background)
            other.send(GET)
            await other.reader.readuntil(b"a")
            assert not app.ended, "0 is for ever"

    run(scenario())


async def answers_late(release: asyncio.Event, receive: Receive, send: Send, raised: list[BaseException]) -> None:
    """What BaseHTTPMiddleware makes of a plain answer: a stream of one part."""
    try:
        await release.wait()
        await send(dict(START))
        await send(dict(PART))
        await send(dict(LAST))
    except BaseException as error:
        raised.append(error)
        raise


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("asks", [False, True])
def test_a_handler_that_has_not_answered_is_never_cut_and_its_answer_is_dropped(asks: bool, way: str) -> None:
    raised: list[BaseException] = []
    told: list[Message] = []
    saved: list[bool] = []
    release = asyncio.Event()

    async def endpoint(receive: Receive, send: Send) -> None:
        await receive()
        if asks:
            told.append(await receive())
        await answers_late(release, receive, send, raised)
        saved.append(True)

    app = App(endpoint)

    async def scenario() -> None:
        async with serving(app, disconnect_grace=0.05) as served:
            client = await served.connect()
            client.send(POST)
            await until(lambda: app.begun)
            leave(client, way)
            await end_behind_the_grace(served, app, release)
            assert (raised, saved) == ([], [True])
            assert told == ([{"type": "http.disconnect"}] if asks else [])
            assert not served.heard.all("request.failed")

    run(scenario())


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("state", ["told in mid-stream", "complete"])
def test_work_behind_a_response_is_never_cut(state: str, way: str) -> None:
    release = asyncio.Event()
    saved: list[bool] = []

    async def endpoint(receive: Receive, send: Send) -> None:
        await send(dict(START))
        if state == "complete":
            await send(dict(LAST))
        else:
            await send(dict(PART))
            await listen(receive)
        await release.wait()  # a background task
        if state != "complete":
            await send(dict(LAST))  # a layer that closes its stream when the one below has returned
        saved.append(True)

    app = App(endpoint)

    async def scenario() -> None:
        async with serving(app, disconnect_grace=0.05) as served:
            client = await served.connect()
            client.send(GET)
            await client.reader.readuntil(b"b" if state == "complete" else b"a")
            leave(client, way)
            await end_behind_the_grace(served, app, release)
            assert saved == [True]
            assert not served.heard.all("request.failed")

    run(scenario())


def test_a_stream_that_begins_long_after_its_client_has_gone_ends_a_grace_later() -> None:
    release, begun = asyncio.Event(), []

    async def endpoint(receive: Receive, send: Send) -> None:
        await release.wait()
        await send(dict(START))
        begun.append(True)
        await asyncio.Event().wait()

    app = App(endpoint)

    async def scenario() -> None:
        async with serving(app, disconnect_grace=0.05) as served:
            client = await served.connect()
            client.send(GET)
            await until(lambda: app.begun)
            client.reset()
            await pass_the_grace(served, app)
            release.set()
            await until(lambda: begun)
            await until(lambda: app.ended)

    run(scenario())


@pytest.mark.parametrize("messages", [[START, LAST], [START, PART, PART, LAST], [START, PART]])
def test_send_for_a_client_that_has_gone_is_dropped_and_keeps_its_rules(messages: list[Message]) -> None:
    done: list[bool] = []

    async def endpoint(receive: Receive, send: Send) -> None:
        await listen(receive)
        for message in messages:
            await send(dict(message))
        with pytest.raises(RuntimeError, match="send\\(\\) takes"):
            await send(dict(START))
        assert await receive() == {"type": "http.disconnect"}
        done.append(True)

    app = App(endpoint)

    async def scenario() -> None:
        async with serving(app) as served:
            client = await served.connect()
            client.send(GET)
            await until(lambda: app.begun)
            client.reset()
            await until(lambda: app.ended)
            assert done
            assert not served.heard.all("request.failed")

    run(scenario())


@pytest.mark.parametrize("kind", ["http.response.pathsend", "http.response.zerocopysend"])
def test_a_file_whose_client_goes_is_dropped(kind: str, tmp_path: object) -> None:
    path = f"{tmp_path}/file"
    with open(path, "wb") as file:
        file.truncate(64 << 20)
    done: list[bool] = []

    async def endpoint(receive: Receive, send: Send) -> None:
        await send(dict(START))
        with open(path, "rb") as file:
            await send({"type": kind, "path": path, "file": file})
        done.append(True)

    app = App(endpoint)

    async def scenario() -> None:
        async with serving(app) as served:
            client = await served.connect()
            client.send(GET)
            await client.reader.readuntil(b"\r\n\r\n")
            client.reset()
            await until(lambda: app.ended)
            assert done
            assert not served.heard.all("request.failed")

    run(scenario())


def test_where_a_cancel_would_strand_a_thread_nothing_is_cancelled(monkeypatch: pytest.MonkeyPatch) -> None:
    app = App(waits)

    async def scenario() -> None:
        async with serving(app, disconnect_grace=0.05) as served:
            client = await served.connect()
            client.send(GET)
            await client.reader.readuntil(b"a")
            with monkeypatch.context() as patched:
                patched.setitem(sys.modules, STRANDED_BY_A_CANCEL, sys)
                client.reset()
                await until(lambda: served.server.background)
                passed = asyncio.get_running_loop().create_future()
                asyncio.get_running_loop().call_later(0.1, passed.set_result, None)
                await passed
            await pass_the_grace(served, app)
            assert not app.ended

    run(scenario())


def test_a_stream_that_is_read_to_its_end_by_a_half_closed_client_is_not_cut() -> None:
    async def endpoint(receive: Receive, send: Send) -> None:
        await send(dict(START))
        for _ in range(50):
            await send(dict(PART))
        await send(dict(LAST))

    async def scenario() -> None:
        async with serving(App(endpoint)) as served:
            client = await served.connect()
            client.send(GET)
            client.writer.write_eof()
            response = await client.response()
            assert response.body == b"a" * 50 + b"b"

    run(scenario())
