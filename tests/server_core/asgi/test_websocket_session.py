"""ASGI websocket as applications see it: what they are handed, what they may send, and how it ends."""

from __future__ import annotations

import asyncio
import inspect
import zlib
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from server_core.asgi.errors import ClientDisconnected
from server_core.asgi.http_exchange import Message, Receive, Send
from server_core.asgi.websocket_states import CONNECTING, DENYING, OPEN, PHASE_NAMES
from tests.helpers.http import DEADLINE_S, Served, run, serving, until
from tests.helpers.websocket import (
    BINARY,
    CLOSE,
    CONT,
    PING,
    PONG,
    TEXT,
    close_frame,
    frame,
    handshake,
    next_close,
    next_frame,
    opened,
)

App = Callable[[Message, Receive, Send], Awaitable[None]]
LOOPS = ("asyncio", "uvloop")


class Listener:
    """Accepts, and keeps all it is told; `echoes` sends messages back."""

    def __init__(self, *, echoes: bool = False, accept: Message | None = None) -> None:
        self.scope: Message = {}
        self.told: list[Message] = []
        self.accept: Message = accept or {"type": "websocket.accept"}
        self.echoes = echoes
        self.returned = False

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        assert inspect.iscoroutinefunction(receive)
        assert inspect.iscoroutinefunction(send)
        self.scope = scope
        self.told.append(await receive())
        await send(self.accept)
        while self.told[-1]["type"] != "websocket.disconnect":
            self.told.append(await receive())
            if self.echoes and self.told[-1]["type"] == "websocket.receive":
                await send({**self.told[-1], "type": "websocket.send"})
        self.returned = True


def check(scenario: Callable[[Served], Awaitable[None]], app: App, loop: str = "asyncio", **settings: object) -> None:
    """Run a scenario against an application."""

    async def served() -> None:
        async with serving(app, **settings) as server:
            await scenario(server)

    run(served(), loop=loop)


def disconnect(code: int, reason: str = "") -> Message:
    return {"type": "websocket.disconnect", "code": code, "reason": reason}


@pytest.mark.parametrize("loop", LOOPS)
def test_an_application_is_handed_a_whole_scope_and_messages_in_order(loop: str) -> None:
    app = Listener(echoes=True)

    async def scenario(served: Served) -> None:
        client = await opened(served, b"sec-websocket-protocol: chat, other", b"x-a: 1")
        client.send(frame(TEXT, "\u00fc".encode()) + frame(BINARY, b"\xff"))
        assert await next_frame(client) == (TEXT, "\u00fc".encode())
        assert await next_frame(client) == (BINARY, b"\xff")
        client.send(close_frame(4000, b"enough"))
        assert await next_close(client) == (4000, "enough")
        await until(lambda: app.returned)
        peer, address = app.scope["client"], client.writer.get_extra_info("sockname")
        assert peer == address

    check(scenario, app, loop, root_path="/api")
    assert app.told == [
        {"type": "websocket.connect"},
        {"type": "websocket.receive", "text": "\u00fc"},
        {"type": "websocket.receive", "bytes": b"\xff"},
        disconnect(4000, "enough"),
    ]
    scope = app.scope
    assert (scope["type"], scope["scheme"], scope["http_version"]) == ("websocket", "ws", "1.1")
    assert scope["asgi"] == {"version": "3.0", "spec_version": "2.5"}
    assert (scope["path"], scope["raw_path"], scope["query_string"]) == ("/api/ws", b"/ws", b"q=1")
    assert scope["root_path"] == "/api"
    assert scope["subprotocols"] == ["chat", "other"]
    assert scope["extensions"] == {"websocket.http.response": {}}
    assert (b"x-a", b"1") in scope["headers"]  # type: ignore[operator]  # pairs
    assert "method" not in scope


def test_state_and_the_forwarded_scheme_reach_the_scope() -> None:
    app = Listener()

    async def served() -> None:
        async with serving(app, state={"key": "value"}) as server:
            await opened(server, b"x-forwarded-proto: https", b"x-forwarded-for: 192.0.2.7")

    run(served())
    assert app.scope["scheme"] == "wss"
    assert app.scope["client"] == ("192.0.2.7", 0)
    assert app.scope["state"] == {"key": "value"}


@pytest.mark.parametrize("loop", LOOPS)
@pytest.mark.parametrize(
    ("stream", "code", "reason"),
    [
        (close_frame(1000), 1000, ""),
        (close_frame(1001, b"going"), 1001, "going"),
        (frame(CLOSE), 1005, ""),
        (frame(TEXT, b"\xff"), 1007, "text that is not UTF-8"),
        (frame(3), 1002, "illegal first byte of a frame: 0x83"),
        (frame(BINARY, bytes(2000)), 1009, "message larger than 1000 bytes"),
    ],
)
def test_how_the_peer_ends_is_told_and_answered(stream: bytes, code: int, reason: str, loop: str) -> None:
    app = Listener()

    async def scenario(served: Served) -> None:
        client = await opened(served)
        client.send(stream)
        assert await next_close(client) == (code, reason)
        assert await client.rest() == b""
        await until(lambda: app.returned)

    check(scenario, app, loop, ws_max_size=1000)
    assert app.told[-1] == disconnect(code, reason)


@pytest.mark.parametrize("loop", LOOPS)
def test_a_lost_connection_is_1006(loop: str) -> None:
    app = Listener()

    async def scenario(served: Served) -> None:
        client = await opened(served)
        client.reset()
        await until(lambda: app.returned)

    check(scenario, app, loop)
    assert app.told[-1] == disconnect(1006)


def test_a_half_closed_connection_is_1006() -> None:
    app = Listener()

    async def scenario(served: Served) -> None:
        client = await opened(served)
        client.writer.write_eof()
        assert await client.rest() == b""
        await until(lambda: app.returned)

    check(scenario, app)
    assert app.told[-1] == disconnect(1006)


def test_messages_before_the_end_are_answered_before_it() -> None:
    app = Listener(echoes=True)

    async def scenario(served: Served) -> None:
        client = await opened(served)
        client.send(frame(TEXT, b"a") + frame(TEXT, b"b") + frame(3))
        assert await next_frame(client) == (TEXT, b"a")
        assert await next_frame(client) == (TEXT, b"b")
        assert (await next_close(client))[0] == 1002

    check(scenario, app)


def test_an_application_that_does_not_listen_is_not_waited_for_at_the_end() -> None:
    began, release = asyncio.Event(), asyncio.Event()

    async def app(_scope: Message, receive: Receive, send: Send) -> None:
        await receive()
        await send({"type": "websocket.accept"})
        began.set()
        await release.wait()
        with pytest.raises(ClientDisconnected):
            await send({"type": "websocket.send", "text": "too late"})

    async def scenario(served: Served) -> None:
        client = await opened(served)
        client.send(close_frame(1000))
        await began.wait()
        (channel,) = served.server.connections
        await until(lambda: not channel.is_idle)
        served.server.sweep(served.server.loop.time() + 2)
        assert await next_close(client) == (1000, "")
        release.set()
        await until(lambda: not served.server.background)
        assert not served.heard.all("request.failed")

    check(scenario, app)


@pytest.mark.parametrize("loop", LOOPS)
@pytest.mark.parametrize(
    ("message", "told"),
    [
        ({}, (1000, "")),
        ({"code": None, "reason": None}, (1000, "")),
        ({"code": 4321, "reason": "\u00fcber"}, (4321, "\u00fcber")),
        ({"code": 1013}, (1013, "")),
        ({"code": 1008, "reason": [{"loc": ["a"]}]}, (1008, "[{'loc': ['a']}]")),
        ({"code": 1008, "reason": b"bytes"}, (1008, "bytes")),
        ({"code": 1008, "reason": "x" * 124}, (1008, "x" * 123)),
        ({"code": 1008, "reason": "\u20ac" * 100}, (1008, "\u20ac" * 41)),
        ({"code": 1008, "reason": "\ud800"}, (1008, "?")),
    ],
)
def test_an_application_closes(message: Message, told: tuple[int, str], loop: str) -> None:
    messages: list[Message] = []

    async def app(_scope: Message, receive: Receive, send: Send) -> None:
        await receive()
        await send({"type": "websocket.accept"})
        await send({"type": "websocket.close", **message})
        with pytest.raises(RuntimeError, match="is closed"):
            await send({"type": "websocket.send", "text": "late"})
        messages.append(await receive())

    async def scenario(served: Served) -> None:
        client = await opened(served)
        assert await next_close(client) == told
        client.send(frame(TEXT, b"crossed it") + close_frame(told[0]))
        assert await client.rest() == b""
        await until(lambda: messages)
        assert not served.heard.all("request.failed")

    check(scenario, app, loop)
    assert messages == [disconnect(told[0])]


def test_a_peer_that_does_not_answer_our_close_is_given_up() -> None:
    app = Listener()

    async def close_at_once(_scope: Message, receive: Receive, send: Send) -> None:
        await receive()
        await send({"type": "websocket.accept"})
        await send({"type": "websocket.close"})
        app.told.append(await receive())

    async def scenario(served: Served) -> None:
        client = await opened(served)
        assert await next_close(client) == (1000, "")
        served.server.sweep(served.server.loop.time() + 5)
        assert served.server.connections
        served.server.sweep(served.server.loop.time() + 11)
        await until(lambda: app.told)

    check(scenario, close_at_once)
    assert app.told == [disconnect(1006)]


@pytest.mark.parametrize(("fails", "code"), [(False, 1000), (True, 1011)])
def test_returning_closes_with_1000_and_raising_with_1011(fails: bool, code: int) -> None:
    async def app(_scope: Message, receive: Receive, send: Send) -> None:
        await receive()
        await send({"type": "websocket.accept"})
        if fails:
            raise LookupError("for the log alone")

    async def scenario(served: Served) -> None:
        client = await opened(served)
        assert await next_close(client) == (code, "")
        client.send(close_frame(code))
        assert await client.rest() == b""
        assert ["LookupError" in str(event["traceback"]) for event in served.heard.all("request.failed")] == [
            True
        ] * fails

    check(scenario, app)


@pytest.mark.parametrize(
    ("messages", "status", "body"),
    [
        ([{"type": "websocket.close"}], 403, b"Forbidden\n"),
        ([{"type": "websocket.close", "code": 4001}], 403, b"Forbidden\n"),
        (
            [
                {"type": "websocket.http.response.start", "status": 401, "headers": [(b"www-authenticate", b"x")]},
                {"type": "websocket.http.response.body", "body": b"who ", "more_body": True},
                {"type": "websocket.http.response.body", "body": b"are you"},
            ],
            401,
            b"who are you",
        ),
        (
            [{"type": "websocket.http.response.start", "status": 404}, {"type": "websocket.http.response.body"}],
            404,
            b"",
        ),
    ],
)
def test_a_denial_is_a_response_after_which_the_connection_serves_on(
    messages: list[Message], status: int, body: bytes
) -> None:
    after: list[Message] = []

    async def app(_scope: Message, receive: Receive, send: Send) -> None:
        assert await receive() == {"type": "websocket.connect"}
        for message in messages:
            await send(message)
        after.append(await receive())
        with pytest.raises(RuntimeError, match="is closed"):
            await send({"type": "websocket.accept"})

    async def scenario(served: Served) -> None:
        client = await served.connect()
        for _ in range(2):
            client.send(handshake())
            response = await client.response()
            assert (response.status, response.body) == (status, body)
            assert "upgrade" not in response.headers
        await until(lambda: len(after) == 2)
        assert served.server.figures().responses == (0, 0, 0, 2, 0)
        assert not served.heard.all("request.failed")

    check(scenario, app)
    assert after == [disconnect(1006)] * 2


CODES: list[object] = [
    None,
    0,
    -1,
    403,
    1005,
    1006,
    1015,
    2999,
    5000,
    65536,
    2**70,
    "1000",
    "",
    3.5,
    [1008],
    {},
    b"1000",
]
REASONS: list[object] = [None, "", "x" * 124, "\ud800", b"\xff", [{"loc": ["query"]}], {"a": 1}, 7, object()]


@pytest.mark.parametrize(
    "message",
    [*({"code": code} for code in CODES), *({"reason": reason} for reason in REASONS), {"more": 1}],
    ids=str,
)
def test_a_close_before_the_acceptance_is_a_403_whatever_it_says(message: Message) -> None:
    async def app(_scope: Message, receive: Receive, send: Send) -> None:
        await receive()
        await send({"type": "websocket.close", **message})

    async def scenario(served: Served) -> None:
        client = await served.connect()
        for _ in range(2):
            client.send(handshake())
            response = await client.response()
            assert (response.status, response.body) == (403, b"Forbidden\n")
        assert not served.heard.all("request.failed")

    check(scenario, app)


@pytest.mark.parametrize(
    "accept",
    [
        {"subprotocol": None, "headers": None},
        {"subprotocol": "", "headers": ()},
        {"headers": [[b"x-a", b"1"]]},
        {"headers": ((b"x-a", b"1"),)},
        {"headers": (pair for _ in range(2) for pair in [(b"x-a", b"1")][:1])},
    ],
    ids=["None", "empty", "lists", "tuples", "a generator"],
)
def test_an_acceptance_may_leave_open_what_it_does_not_say(accept: Message) -> None:
    listener = Listener(accept={"type": "websocket.accept", **accept})

    async def scenario(served: Served) -> None:
        client = await served.connect()
        client.send(handshake(b"sec-websocket-protocol: chat"))
        head = await client.reader.readuntil(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 101 ")
        assert b"sec-websocket-protocol" not in head
        assert (b"x-a: 1\r\n" in head) is bool(accept["headers"])

    check(scenario, listener)


@pytest.mark.parametrize("raises", [True, False])
def test_an_application_that_neither_accepts_nor_denies_is_a_500(raises: bool) -> None:
    async def app(_scope: Message, _receive: Receive, _send: Send) -> None:
        if raises:
            raise LookupError("secret")

    async def scenario(served: Served) -> None:
        client = await served.connect()
        client.send(handshake())
        response = await client.response()
        assert response.status == 500
        assert b"secret" not in response.body
        assert len(served.heard.all("request.failed")) == 1

    check(scenario, app)


BAD = [
    (CONNECTING, {"type": "websocket.send", "text": "x"}),
    (CONNECTING, {"type": "websocket.http.response.body"}),
    (CONNECTING, {"type": "http.response.start", "status": 200}),
    (CONNECTING, {"type": "websocket.accept", "subprotocol": "nobody offered it"}),
    (CONNECTING, {"type": "websocket.accept", "headers": [(b"x", b"a\nb")]}),
    (CONNECTING, {"type": "websocket.accept", "headers": [(b"upgrade", b"h2c")]}),
    (CONNECTING, {"type": "websocket.http.response.start", "status": "200"}),
    (OPEN, {"type": "websocket.accept"}),
    (OPEN, {"type": "websocket.http.response.start", "status": 200}),
    (OPEN, {"type": "websocket.send"}),
    (OPEN, {"type": "websocket.send", "text": None, "bytes": None}),
    (OPEN, {"type": "websocket.send", "text": "x", "bytes": b"x"}),
    (OPEN, {"type": "websocket.send", "text": b"x"}),
    (OPEN, {"type": "websocket.send", "bytes": "x"}),
    (OPEN, {"type": "websocket.close", "code": 1005}),
    (OPEN, {"type": "websocket.close", "code": 1006}),
    (OPEN, {"type": "websocket.close", "code": 2000}),
    (OPEN, {"type": "websocket.close", "code": "1000"}),
    (CONNECTING, {}),
    (CONNECTING, {"type": "websocket.accept", "headers": 7}),
    (CONNECTING, {"type": "websocket.accept", "subprotocol": 7}),
    (CONNECTING, {"type": "websocket.http.response.start"}),
    (OPEN, {"code": 1000}),
    (OPEN, {"type": "websocket.close", "code": 0}),
    (OPEN, {"type": "websocket.close", "code": -1}),
    (OPEN, {"type": "websocket.close", "code": 65536}),
    (DENYING, {"type": "websocket.accept"}),
    (DENYING, {"type": "websocket.http.response.body", "body": "x"}),
]


@pytest.mark.parametrize(("phase", "message"), BAD)
def test_an_illegal_send_raises_and_changes_nothing(phase: dict[str, bool], message: Message) -> None:
    async def app(_scope: Message, receive: Receive, send: Send) -> None:
        await receive()
        if phase is OPEN:
            await send({"type": "websocket.accept"})
        if phase is DENYING:
            await send({"type": "websocket.http.response.start", "status": 418})
        with pytest.raises(RuntimeError):
            await send(message)
        if phase is CONNECTING:
            await send({"type": "websocket.accept"})
        if phase is DENYING:
            await send({"type": "websocket.http.response.body", "body": b"after all"})
        else:
            await send({"type": "websocket.send", "bytes": bytearray(b"after all")})

    async def scenario(served: Served) -> None:
        client = await served.connect()
        client.send(handshake())
        response = await client.response(to="HEAD" if phase is not DENYING else "GET")
        if phase is DENYING:
            assert (response.status, response.body) == (418, b"after all")
        else:
            assert response.status == 101
            assert await next_frame(client) == (BINARY, b"after all")
        assert not served.heard.all("request.failed")

    check(scenario, app)


def test_every_phase_has_its_words_and_refuses_something() -> None:
    assert {id(phase) for phase, _ in BAD} | {id(PHASE_NAMES[-1][0])} == {id(phase) for phase, _ in PHASE_NAMES}


@pytest.mark.parametrize("loop", LOOPS)
def test_send_after_the_peer_has_gone_raises_an_oserror(loop: str) -> None:
    raised: list[BaseException] = []

    async def app(_scope: Message, receive: Receive, send: Send) -> None:
        await receive()
        await send({"type": "websocket.accept"})
        assert (await receive())["type"] == "websocket.disconnect"
        assert (await receive())["type"] == "websocket.disconnect"
        for message in ({"type": "websocket.send", "text": "x"}, {"type": "websocket.close"}):
            try:
                await send(message)
            except OSError as error:
                raised.append(error)
        await send({"type": "websocket.send", "text": "nobody catches this one, and nobody is to blame"})

    async def scenario(served: Served) -> None:
        client = await opened(served)
        client.reset()
        await until(lambda: len(raised) == 2)
        await until(lambda: not served.server.background)
        assert not served.heard.all("request.failed")

    check(scenario, app, loop)


def test_a_cancelled_receive_loses_nothing() -> None:
    got: list[object] = []

    async def app(_scope: Message, receive: Receive, send: Send) -> None:
        await receive()
        await send({"type": "websocket.accept"})
        for _ in range(3):
            waiting = asyncio.create_task(receive())  # type: ignore[arg-type]  # it is a coroutine function
            await asyncio.wait([waiting], timeout=0)
            waiting.cancel()
            await asyncio.wait([waiting])
        await send({"type": "websocket.send", "text": "now"})
        got.extend([(await receive())["text"], (await receive())["text"]])

    async def scenario(served: Served) -> None:
        client = await opened(served)
        assert await next_frame(client) == (TEXT, b"now")
        client.send(frame(TEXT, b"one") + frame(TEXT, b"two"))
        await until(lambda: len(got) == 2)

    check(scenario, app)
    assert got == ["one", "two"]


def test_what_comes_right_behind_the_handshake_is_a_message() -> None:
    app = Listener(echoes=True)

    async def scenario(served: Served) -> None:
        client = await served.connect()
        client.send(handshake() + frame(TEXT, b"hasty"))
        assert (await client.response()).status == 101
        assert await next_frame(client) == (TEXT, b"hasty")

    check(scenario, app)


@pytest.mark.parametrize("loop", LOOPS)
def test_reading_pauses_while_the_application_does_not_take_messages(loop: str) -> None:
    release, sizes = asyncio.Event(), []

    async def app(_scope: Message, receive: Receive, send: Send) -> None:
        await receive()
        await send({"type": "websocket.accept"})
        await release.wait()
        while (message := await receive())["type"] == "websocket.receive":
            sizes.append(len(message["bytes"]))  # type: ignore[arg-type]  # bytes

    async def scenario(served: Served) -> None:
        client = await opened(served)
        (channel,) = served.server.connections
        one = frame(BINARY, bytes(50_000))
        client.send(one * 400)
        await until(lambda: channel._reading.is_paused)  # type: ignore[union-attr]  # a channel
        # What one read brings beyond the mark, and no more: 20 MB were sent
        assert 65536 < channel.session.queued < 1_000_000  # type: ignore[union-attr]  # as above
        release.set()
        client.send(close_frame(1000))
        assert await next_close(client) == (1000, "")
        await until(lambda: not served.server.connections)

    check(scenario, app, loop)
    assert sizes == [50_000] * 400


@pytest.mark.parametrize("loop", LOOPS)
def test_send_waits_while_the_peer_does_not_read(loop: str) -> None:
    sent = 0

    async def app(_scope: Message, receive: Receive, send: Send) -> None:
        nonlocal sent
        await receive()
        await send({"type": "websocket.accept"})
        for _ in range(400):
            await send({"type": "websocket.send", "bytes": bytes(100_000)})
            sent += 1

    async def scenario(served: Served) -> None:
        client = await opened(served)
        (channel,) = served.server.connections
        await until(lambda: channel.is_full() and channel.session.is_waiting)  # type: ignore[union-attr]  # a channel
        assert sent < 200
        for _ in range(400):
            assert await next_frame(client) == (BINARY, bytes(100_000))
        assert await next_close(client) == (1000, "")

    check(scenario, app, loop)


def test_a_peer_that_pings_and_reads_no_pongs_is_not_read_on() -> None:
    app = Listener()

    async def scenario(served: Served) -> None:
        client = await opened(served)
        client.writer.transport.pause_reading()  # type: ignore[attr-defined]  # it is a reading transport, too
        (channel,) = served.server.connections
        ping = frame(PING, bytes(125)) * 1000
        while not channel._reading.is_paused:  # type: ignore[union-attr]  # a channel
            client.send(ping)
            await until(lambda: client.writer.transport.get_write_buffer_size() < 65536 or channel._reading.is_paused)  # type: ignore[union-attr]  # as above
        assert channel._transport.get_write_buffer_size() < 2_000_000  # type: ignore[union-attr]  # as above

    check(scenario, app)


@pytest.mark.parametrize("loop", LOOPS)
def test_compressed_messages_go_both_ways_and_bombs_do_not_fill_the_memory(loop: str) -> None:
    release = asyncio.Event()
    app = Listener(echoes=True)

    async def gated(scope: Message, receive: Receive, send: Send) -> None:
        if scope["query_string"] == b"q=1" and release.is_set():
            await app(scope, receive, send)
            return
        await receive()
        await send({"type": "websocket.accept"})
        await release.wait()

    def squeezed(data: bytes) -> bytes:
        machine = zlib.compressobj(wbits=-12)
        return frame(BINARY, (machine.compress(data) + machine.flush(zlib.Z_SYNC_FLUSH))[:-4], rsv=0x40)

    async def scenario(served: Served) -> None:
        offer = b"sec-websocket-extensions: permessage-deflate; client_no_context_takeover; client_max_window_bits"
        client = await opened(served, offer)
        (channel,) = served.server.connections
        client.send(squeezed(bytes(4_000_000)) * 20)  # 80 MB in 80 KB
        await until(lambda: channel._reading.is_paused)  # type: ignore[union-attr]  # a channel
        assert channel.session.queued < 9_000_000  # type: ignore[union-attr]  # as above
        release.set()
        client.reset()
        client = await opened(served, offer)
        client.send(squeezed(b"hello " * 1000))
        opcode, payload = await next_frame_raw(client)
        assert opcode == 0xC2
        assert zlib.decompressobj(wbits=-12).decompress(payload + b"\0\0\xff\xff") == b"hello " * 1000

    async def next_frame_raw(client: object) -> tuple[int, bytes]:
        async with asyncio.timeout(DEADLINE_S):
            first, size = await client.reader.readexactly(2)  # type: ignore[attr-defined]  # a Client
            return first, await client.reader.readexactly(size)  # type: ignore[attr-defined]  # a Client

    check(scenario, gated, loop)


def test_without_the_setting_nothing_is_compressed() -> None:
    async def scenario(served: Served) -> None:
        client = await served.connect()
        client.send(handshake(b"sec-websocket-extensions: permessage-deflate"))
        response = await client.response()
        assert response.status == 101
        assert "sec-websocket-extensions" not in response.headers

    check(scenario, Listener(), ws_per_message_deflate=False)


def test_a_silent_peer_is_pinged_and_given_up_and_one_that_answers_is_not() -> None:
    app = Listener()

    async def scenario(served: Served) -> None:
        client = await opened(served)
        server, now = served.server, served.server.loop.time()
        server.sweep(now)
        server.sweep(now + 19)
        server.sweep(now + 21)
        assert await next_frame(client) == (PING, b"")
        client.send(frame(PONG))
        (channel,) = server.connections
        await until(lambda: channel._heard)  # type: ignore[union-attr]  # a channel
        server.sweep(now + 42)
        server.sweep(now + 63)
        assert await next_frame(client) == (PING, b"")
        server.sweep(now + 82)
        assert server.connections
        server.sweep(now + 84)
        await until(lambda: app.returned)

    check(scenario, app)
    assert app.told[-1] == disconnect(1011, "ping timeout")


def test_a_peer_that_takes_nothing_is_given_up_at_the_write_timeout() -> None:
    app_ended = asyncio.Event()

    async def app(_scope: Message, receive: Receive, send: Send) -> None:
        await receive()
        await send({"type": "websocket.accept"})
        try:
            while True:
                await send({"type": "websocket.send", "bytes": bytes(1_000_000)})
        finally:
            app_ended.set()

    async def scenario(served: Served) -> None:
        client = await opened(served)
        client.writer.transport.pause_reading()  # type: ignore[attr-defined]  # it is a reading transport, too
        (channel,) = served.server.connections
        await until(lambda: channel.is_full() and channel.session.is_waiting)  # type: ignore[union-attr]  # a channel
        now = served.server.loop.time()
        served.server.sweep(now)
        served.server.sweep(now + 29)
        assert served.server.connections
        served.server.sweep(now + 31)
        async with asyncio.timeout(DEADLINE_S):
            await app_ended.wait()
        assert not served.heard.all("request.failed")

    check(scenario, app)


def test_fragments_and_pings_between_them_make_one_message() -> None:
    app = Listener(echoes=True)

    async def scenario(served: Served) -> None:
        client = await opened(served)
        client.send(frame(TEXT, b"a\xc3", fin=False) + frame(PING, b"?") + frame(CONT, b"\xbc"))
        assert await next_frame(client) == (PONG, b"?")
        assert await next_frame(client) == (TEXT, "a\u00fc".encode())

    check(scenario, app)


def test_an_accepted_websocket_is_counted_as_a_request_that_was_answered() -> None:
    async def scenario(served: Served) -> None:
        await opened(served)
        figures = served.server.figures()
        assert (figures.connections, figures.in_flight, figures.requests_total) == (1, 0, 1)
        assert figures.responses == (1, 0, 0, 0, 0)
        assert served.server.in_flight() == []

    check(scenario, Listener())


@pytest.mark.parametrize("loop", LOOPS)
@pytest.mark.parametrize("way", ["reset", "close", "half-close"])
@pytest.mark.parametrize("lets_out", [True, False])
def test_a_client_that_leaves_before_the_acceptance_is_told_of(
    lets_out: bool, way: str, loop: str, tmp_path: Path
) -> None:
    """However it leaves: nobody is blamed, the socket is closed, and the access log says 499."""
    release, told = asyncio.Event(), []

    async def app(_scope: Message, receive: Receive, send: Send) -> None:
        await receive()
        told.append(await receive())
        try:
            await send({"type": "websocket.accept"})
        except ClientDisconnected:
            if lets_out:
                raise
        finally:
            release.set()

    async def scenario(served: Served) -> None:
        client = await served.connect()
        client.send(handshake())
        await until(served.server.in_flight)
        if way == "reset":
            client.reset()
        elif way == "close":
            client.close()
        else:
            client.writer.write_eof()
        async with asyncio.timeout(DEADLINE_S):
            await release.wait()
        await until(lambda: not served.server.connections and not served.server.background)
        assert not served.heard.all("request.failed")

    log = tmp_path / "log"
    check(scenario, app, loop, access_log=str(log), access_log_format="%s")
    assert told == [disconnect(1006)]
    assert log.read_text() == "499\n"


def test_an_application_that_never_looks_holds_no_socket_of_a_client_that_left_before_the_acceptance() -> None:
    release = asyncio.Event()

    async def app(_scope: Message, _receive: Receive, send: Send) -> None:
        await release.wait()
        with pytest.raises(ClientDisconnected):
            await send({"type": "websocket.accept"})

    async def scenario(served: Served) -> None:
        client = await served.connect()
        client.send(handshake())
        await until(served.server.in_flight)
        client.writer.write_eof()
        assert await client.rest() == b"", "the server closes although its application is busy"
        release.set()
        await until(lambda: not served.server.background)
        assert not served.heard.all("request.failed")

    check(scenario, app)


@pytest.mark.parametrize("parser", ["httptools", "h11"])
@pytest.mark.parametrize(("old", "new", "status"), [(b"version: 13", b"version: 12", 426), (b"==", b"", 400)])
def test_a_broken_handshake_is_answered_without_the_application(
    old: bytes, new: bytes, status: int, parser: str
) -> None:
    app = Listener()

    async def scenario(served: Served) -> None:
        client = await served.connect()
        client.send(handshake().replace(old, new))
        response = await client.response()
        assert response.status == status
        assert response.headers.get("sec-websocket-version") == ("13" if status == 426 else None)
        assert await client.rest() == b""

    check(scenario, app, http=parser)
    assert app.told == []
