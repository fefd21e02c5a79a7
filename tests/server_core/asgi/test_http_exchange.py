"""What the server promises an ASGI application, and what it makes of one that breaks its own promises."""

# ruff: noqa: ARG001 - an ASGI application takes three arguments, whether it needs them or not

from __future__ import annotations

import asyncio
import inspect
import sys

import pytest

from server_core.asgi.extensions import EXTENSIONS
from server_core.asgi.http_exchange import Application, Message, Receive, Send
from server_core.http1.disconnect_grace import STRANDED_BY_A_CANCEL
from tests.helpers.http import GET, PARSERS, Client, Response, Served, reply, run, serving, until

POST = b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 5\r\n\r\n"
CLOSE = b"GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n"
START: Message = {"type": "http.response.start", "status": 200, "headers": []}


def ask(app: Application, request: bytes = GET, *, to: str = "GET", **settings: object) -> tuple[Response, Served]:
    """One request on a fresh connection, its response, and what the server had to say."""
    kept: list[tuple[Response, Served]] = []

    async def scenario() -> None:
        async with serving(app, **settings) as served:
            client = await served.connect()
            client.send(request)
            kept.append((await client.response(to=to), served))

    run(scenario())
    return kept[0]


def ask_raw(app: Application, request: bytes = CLOSE, **settings: object) -> tuple[bytes, Served]:
    """All bytes up to the end of the connection."""
    kept: list[tuple[bytes, Served]] = []

    async def scenario() -> None:
        async with serving(app, **settings) as served:
            client = await served.connect()
            client.send(request)
            kept.append((await client.rest(), served))

    run(scenario())
    return kept[0]


def test_the_scope_is_what_asgi_says() -> None:
    seen: list[Message] = []

    async def app(scope: Message, receive: Receive, send: Send) -> None:
        seen.append(scope)
        assert inspect.iscoroutinefunction(receive)
        assert inspect.iscoroutinefunction(send)
        await reply(send, b"")

    ask(app, b"GET /a%2Fb?c=d HTTP/1.1\r\nHost: x\r\nX-Y: z\r\n\r\n", root_path="/root/")
    scope = dict(seen[0])
    client, server = scope.pop("client"), scope.pop("server")
    assert scope == {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "method": "GET",
        "scheme": "http",
        "root_path": "/root",
        "path": "/root/a/b",
        "raw_path": b"/a%2Fb",
        "query_string": b"c=d",
        "headers": [(b"host", b"x"), (b"x-y", b"z")],
        "extensions": EXTENSIONS[b"HTTP/1.1"],
    }
    assert isinstance(client, tuple)
    assert isinstance(server, tuple)
    assert (client[0], server[0]) == ("127.0.0.1", "127.0.0.1")


def test_requests_share_nothing_that_can_be_written_to() -> None:
    async def app(scope: Message, receive: Receive, send: Send) -> None:
        marks = []
        for part in (scope, scope["asgi"], scope["extensions"], scope["state"]):
            assert isinstance(part, dict)
            marks.append("mark" in part)
            part["mark"] = 1
        headers = scope["headers"]
        assert isinstance(headers, list)
        marks.append((b"mark", b"1") in headers)
        headers.append((b"mark", b"1"))
        await reply(send, repr((any(marks), scope["state"]["kept"])).encode())  # type: ignore[index]  # given below

    async def scenario() -> None:
        async with serving(app, state={"kept": 7}) as served:
            client = await served.connect()
            assert (await client.get()).body == b"(False, 7)"
            assert (await client.get()).body == b"(False, 7)"

    run(scenario())


def test_each_request_is_one_task_from_its_first_to_its_last_step() -> None:
    tasks: list[asyncio.Task[object] | None] = []

    async def app(scope: Message, receive: Receive, send: Send) -> None:
        tasks.append(asyncio.current_task())
        await receive()
        await asyncio.get_running_loop().run_in_executor(None, int)
        tasks.append(asyncio.current_task())
        await reply(send, b"")

    ask(app)
    assert tasks[0] is not None
    assert tasks[0] is tasks[1]


def test_receive_after_the_body_blocks_until_the_client_is_gone() -> None:
    messages: list[Message] = []

    async def app(scope: Message, receive: Receive, send: Send) -> None:
        messages.append(await receive())
        messages.append(await receive())

    async def scenario() -> None:
        async with serving(app) as served:
            client = await served.connect()
            client.send(POST + b"hello")
            await until(lambda: len(messages) == 1 and served.server.in_flight())
            assert len(messages) == 1
            client.reset()
            await until(lambda: len(messages) == 2)
            assert not served.heard.all("request.failed")

    run(scenario())
    assert messages == [
        {"type": "http.request", "body": b"hello", "more_body": False},
        {"type": "http.disconnect"},
    ]


def test_a_cancelled_receive_loses_nothing() -> None:
    async def app(scope: Message, receive: Receive, send: Send) -> None:
        first = asyncio.create_task(receive())  # type: ignore[arg-type]  # a coroutine function, as Django needs
        await turned()
        first.cancel()
        with pytest.raises(asyncio.CancelledError):
            await first
        await send(dict(START))
        await send({"type": "http.response.body", "body": b"send it", "more_body": True})
        message = await receive()
        waiting = asyncio.create_task(receive())  # type: ignore[arg-type]  # as above
        await turned()
        waiting.cancel()
        body = message["body"]
        assert isinstance(body, bytes)
        await send({"type": "http.response.body", "body": body})

    async def turned() -> None:
        await asyncio.get_running_loop().run_in_executor(None, int)

    async def scenario() -> None:
        async with serving(app) as served:
            client = await served.connect()
            client.send(POST)
            await client.reader.readuntil(b"send it\r\n")
            client.send(b"hello")
            assert await client.reader.readuntil(b"0\r\n\r\n") == b"5\r\nhello\r\n0\r\n\r\n"
            assert not served.heard.all("request.failed")

    run(scenario())


def test_two_receives_at_once_are_both_answered() -> None:
    async def app(scope: Message, receive: Receive, send: Send) -> None:
        both = asyncio.gather(receive(), receive())
        await send(dict(START))
        await send({"type": "http.response.body", "body": b"go", "more_body": True})
        messages = await both
        kinds = sorted(str(message["type"]) for message in messages)
        done.append(kinds)

    done: list[list[str]] = []

    async def scenario() -> None:
        async with serving(app) as served:
            client = await served.connect()
            client.send(POST)
            await client.reader.readuntil(b"go\r\n")
            client.send(b"hello")
            await until(lambda: served.server.connections and not client.reader.at_eof())
            client.reset()
            await until(lambda: done)

    run(scenario())
    assert done == [["http.disconnect", "http.request"]]


def test_a_half_closed_client_is_a_disconnect_to_those_who_ask_and_can_still_be_answered() -> None:
    async def app(scope: Message, receive: Receive, send: Send) -> None:
        await receive()
        assert (await receive())["type"] == "http.disconnect"
        if scope["path"] == "/":
            await reply(send, b"answered")

    async def scenario() -> None:
        async with serving(app) as served:
            for request, answers in ((GET, 1), (GET.replace(b"/ ", b"/not "), 0)):
                client = await served.connect()
                client.send(request)
                await until(served.server.in_flight)
                client.writer.write_eof()
                assert (await client.rest()).count(b"answered") == answers
                await until(lambda: not served.server.connections)
            assert not served.heard.all("request.failed")

    run(scenario())


def test_receive_after_the_response_is_a_disconnect() -> None:
    messages: list[Message] = []

    async def app(scope: Message, receive: Receive, send: Send) -> None:
        await reply(send, b"")
        messages.extend([await receive(), await receive()])

    ask(app)
    assert [message["type"] for message in messages] == ["http.request", "http.disconnect"]


@pytest.mark.parametrize(
    ("messages", "claim"),
    [
        ([START, START], "two starts"),
        ([{"type": "http.response.body", "body": b""}], "a body before the start"),
        ([START, {"type": "http.response.body", "body": "text"}], "text for bytes"),
        ([{"type": "http.response.start", "status": "200"}], "a status that is no number"),
        ([{"type": "http.response.start", "status": 101}], "a status that is not final"),
        ([{"type": "http.response.start", "status": 200, "headers": [(b"a\r\n", b"b")]}], "CR LF in a name"),
        ([{"type": "http.response.start", "status": 200, "headers": [(b"a", b"b\r\nc: d")]}], "CR LF in a value"),
        ([{"type": "http.response.start", "status": 200, "headers": [(b"a", b"b\0")]}], "NUL in a value"),
        ([{"type": "http.response.start", "status": 200, "headers": [("a", "b")]}], "text in headers"),
        ([{"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"x")]}], "no number"),
        ([{"type": "http.response.start", "status": 200, "headers": [(b"transfer-encoding", b"gzip")]}], "a coding"),
        (
            [{"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"1")] * 2}],
            "two content-lengths",
        ),
        (
            [
                {"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"1")]},
                {"type": "http.response.body", "body": b"too long"},
            ],
            "a body longer than content-length",
        ),
        (
            [
                {"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"10")]},
                {"type": "http.response.body", "body": b"short"},
            ],
            "a body shorter than content-length",
        ),
        ([{"type": "http.unheard.of"}], "an unknown message"),
        ([], "nothing at all"),
        ([START], "a start and no body"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_broken_response_that_has_not_gone_out_becomes_a_plain_500(messages: list[Message], claim: str) -> None:
    async def app(scope: Message, receive: Receive, send: Send) -> None:
        for message in messages:
            await send(dict(message))

    response, served = ask(app)
    assert response.status == 500, claim
    assert response.body == b"Internal Server Error\n"
    assert response.headers["content-type"].startswith("text/plain")
    assert len(served.heard.all("request.failed")) == 1
    assert served.server.figures().responses[4] == 1


def test_an_application_that_raises_leaks_nothing_and_is_logged() -> None:
    async def app(scope: Message, receive: Receive, send: Send) -> None:
        raise RuntimeError("the secret")

    response, served = ask(app, b"GET /where HTTP/1.1\r\nHost: x\r\n\r\n")
    assert (response.status, response.body) == (500, b"Internal Server Error\n")
    (failure,) = served.heard.all("request.failed")
    assert (failure["method"], failure["path"]) == ("GET", "/where")
    assert "the secret" in str(failure["traceback"])


@pytest.mark.parametrize("error", [SystemExit(1), asyncio.CancelledError()], ids=["SystemExit", "CancelledError"])
def test_even_a_base_exception_fails_one_request_only(error: BaseException) -> None:
    async def app(scope: Message, receive: Receive, send: Send) -> None:
        if scope["path"] == "/bad":
            raise error
        await reply(send, b"fine")

    async def scenario() -> None:
        async with serving(app) as served:
            client = await served.connect()
            assert (await client.get(GET.replace(b"/ ", b"/bad "))).status == 500
            assert (await client.get()).body == b"fine"

    run(scenario())


def test_raising_in_mid_stream_cuts_a_chunked_response() -> None:
    async def app(scope: Message, receive: Receive, send: Send) -> None:
        await send(dict(START))
        await send({"type": "http.response.body", "body": b"some", "more_body": True})
        raise RuntimeError

    said, served = ask_raw(app)
    assert said.endswith(b"\r\n\r\n4\r\nsome\r\n"), "the last chunk must be missing"
    assert len(served.heard.all("request.failed")) == 1


def test_raising_in_mid_stream_resets_where_closing_would_look_like_an_end() -> None:
    async def app(scope: Message, receive: Receive, send: Send) -> None:
        await send(dict(START))
        await send({"type": "http.response.body", "body": b"some", "more_body": True})
        message = await receive()
        assert message["type"] == "http.request"
        while (await receive())["type"] != "never":
            raise RuntimeError

    async def scenario() -> None:
        async with serving(app) as served:
            client = await served.connect()
            client.send(b"POST / HTTP/1.0\r\ncontent-length: 2\r\n\r\na")
            assert (await client.reader.readuntil(b"some")).endswith(b"\r\n\r\nsome")
            client.send(b"b")
            with pytest.raises(ConnectionResetError):
                await client.rest()

    run(scenario())


@pytest.mark.parametrize("second", [b"", b"56789a"], ids=["shorter", "longer"])
def test_a_stream_that_breaks_its_content_length_ends_the_connection(second: bytes) -> None:
    async def app(scope: Message, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"10")]})
        await send({"type": "http.response.body", "body": b"01234", "more_body": True})
        await send({"type": "http.response.body", "body": second})

    said, served = ask_raw(app, GET + GET)
    assert said.endswith(b"\r\n\r\n01234"), "nothing may follow, no second response either"
    assert len(served.heard.all("request.failed")) == 1


@pytest.mark.parametrize(
    ("status", "method", "framing"),
    [
        (200, "HEAD", ("content-length", "5")),
        (204, "GET", None),
        (304, "GET", None),
        (200, "GET", ("content-length", "5")),
    ],
)
def test_responses_without_body_have_none(status: int, method: str, framing: tuple[str, str] | None) -> None:
    async def app(scope: Message, receive: Receive, send: Send) -> None:
        await reply(send, b"hello", status)

    async def scenario() -> None:
        async with serving(app) as served:
            client = await served.connect()
            client.send(GET.replace(b"GET", method.encode()))
            response = await client.response(to=method)
            assert response.status == status
            headers = response.headers
            found = [(name, headers[name]) for name in ("content-length", "transfer-encoding") if name in headers]
            assert found == ([framing] if framing else [])
            client.send(GET.replace(b"GET", method.encode()))
            assert (await client.response(to=method)).status == status, "the connection is in step"

    run(scenario())


async def stream(scope: Message, receive: Receive, send: Send) -> None:
    await send(dict(START))
    for part in (b"one", b"", b"two"):
        await send({"type": "http.response.body", "body": part, "more_body": True})
    await send({"type": "http.response.body"})


def test_a_stream_is_chunked_and_keeps_the_connection() -> None:
    async def scenario() -> None:
        async with serving(stream) as served:
            client = await served.connect()
            for _ in range(2):
                response = await client.get()
                assert response.headers["transfer-encoding"] == "chunked"
                assert response.body == b"onetwo"

    run(scenario())


def test_a_stream_to_http_1_0_ends_with_the_connection() -> None:
    said, _ = ask_raw(stream, b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
    head, _, body = said.partition(b"\r\n\r\n")
    assert body == b"onetwo"
    assert b"transfer-encoding" not in head
    assert b"connection: close" in head


def test_the_application_can_close_the_connection() -> None:
    async def app(scope: Message, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": [[b"Connection", b"Close"]]})
        await send({"type": "http.response.body", "body": b"x"})

    said, _ = ask_raw(app, GET)
    assert said.lower().count(b"connection: close") == 1


def test_date_and_server_are_sent_unless_the_application_did_or_they_are_off() -> None:
    async def plain(scope: Message, receive: Receive, send: Send) -> None:
        await reply(send, b"")

    async def own(scope: Message, receive: Receive, send: Send) -> None:
        await send(
            {"type": "http.response.start", "status": 200, "headers": [(b"date", b"today"), (b"Server", b"mine")]}
        )
        await send({"type": "http.response.body"})

    headers = ask(plain)[0].headers
    assert headers["server"] == "supervisor-d"
    assert headers["date"].endswith(" GMT")
    headers = ask(own)[0].headers
    assert (headers["server"], headers["date"]) == ("mine", "today")
    headers = ask(plain, server_header=False, date_header=False)[0].headers
    assert "server" not in headers
    assert "date" not in headers


def test_headers_of_the_operator_are_sent_unless_the_application_gave_the_same_name() -> None:
    async def app(scope: Message, receive: Receive, send: Send) -> None:
        length: list[object] = [(b"content-length", b"2")] if scope["path"] == "/counted" else []
        own = [(b"X-FRAME-options", b"SAMEORIGIN")] if scope["path"] == "/own" else []
        await send({"type": "http.response.start", "status": 200, "headers": own + length})
        await send({"type": "http.response.body", "body": b"ok"})

    async def scenario() -> None:
        async with serving(app, header=("X-Frame-Options: DENY", "Server: mine", "A: caf\xe9, b")) as served:
            client = await served.connect()
            for path in (b"/", b"/counted", b"/own", b"/counted", b"/own"):
                headers = (await client.get(GET.replace(b"/ ", path + b" "))).headers
                assert headers["x-frame-options"] == ("SAMEORIGIN" if path == b"/own" else "DENY")
                assert (headers["server"], headers["a"]) == ("mine", "caf\xe9, b")
                assert "date" in headers
            client.send(b"GET / HTTP/1.1\r\n\r\n")
            refused = await client.response()
            assert (refused.status, refused.headers["x-frame-options"]) == (400, "DENY")

    run(scenario())


@pytest.mark.parametrize("parser", PARSERS)
def test_continue_is_sent_when_the_application_wants_the_body(parser: str) -> None:
    async def app(scope: Message, receive: Receive, send: Send) -> None:
        message = await receive()
        body = message["body"]
        assert isinstance(body, bytes)
        await reply(send, body)

    async def scenario() -> None:
        async with serving(app, http=parser) as served:
            client = await served.connect()
            client.send(POST.replace(b"content", b"Expect: 100-Continue\r\ncontent"))
            assert (await client.response()).status == 100
            client.send(b"hello")
            assert (await client.response()).body == b"hello"
            assert (await client.get()).status == 200

    run(scenario())


def test_continue_is_not_sent_when_the_response_has_started_and_the_connection_ends() -> None:
    async def app(scope: Message, receive: Receive, send: Send) -> None:
        await reply(send, b"no", 413)

    said, _ = ask_raw(app, POST.replace(b"content", b"expect: 100-continue\r\ncontent"))
    assert said.startswith(b"HTTP/1.1 413 ")
    assert b"connection: close" in said


def test_the_rest_of_a_body_that_nobody_reads_is_discarded() -> None:
    async def app(scope: Message, receive: Receive, send: Send) -> None:
        await reply(send, b"early")

    async def scenario() -> None:
        async with serving(app) as served:
            client = await served.connect()
            client.send(POST + b"he")
            assert (await client.response()).body == b"early"
            client.send(b"llo" + GET)
            assert (await client.response()).body == b"early"

    run(scenario())


def test_a_background_task_does_not_hold_up_the_next_request() -> None:
    async def scenario() -> None:
        gate = asyncio.Event()
        ended: list[object] = []

        async def app(scope: Message, receive: Receive, send: Send) -> None:
            await reply(send, b"x")
            if scope["path"] == "/bg":
                await gate.wait()
                ended.append(scope["path"])

        async with serving(app) as served:
            client = await served.connect()
            await client.get(GET.replace(b"/ ", b"/bg "))
            assert (await client.get()).body == b"x"
            assert [entry.path for entry in served.server.in_flight()] == ["/bg"]
            assert not ended
            gate.set()
            await until(lambda: ended and not served.server.background)

    run(scenario())


async def flood(scope: Message, receive: Receive, send: Send) -> None:
    """Sends until it is stopped, and counts."""
    await send(dict(START))
    while True:
        await send({"type": "http.response.body", "body": b"x" * 65536, "more_body": True})
        counts["sent"] += 65536


counts = {"sent": 0}


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
def test_send_waits_when_the_client_reads_slowly(loop: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, STRANDED_BY_A_CANCEL, raising=False)  # another test may have loaded it
    counts["sent"] = 0

    async def scenario() -> None:
        async with serving(flood) as served:
            client = await served.connect()
            client.send(GET)
            (connection,) = await connections(served)
            await until(connection.stream.is_full)
            sent = counts["sent"]
            await client.reader.readexactly(sent)
            await until(lambda: counts["sent"] > sent)
            client.reset()
            await until(lambda: not served.server.background and not served.server.connections)
            assert not served.heard.all("request.failed")

    run(scenario(), loop=loop)


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
def test_an_application_that_only_sends_ends_with_its_client(loop: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, STRANDED_BY_A_CANCEL, raising=False)  # another test may have loaded it
    counts["sent"] = 0

    async def scenario() -> None:
        async with serving(flood) as served:
            for _ in range(5):
                client = await served.connect()
                client.send(GET)
                await client.reader.readexactly(1_000_000)
                client.reset()
                await until(lambda: not served.server.background and not served.server.connections)
            assert not served.heard.all("request.failed")

    run(scenario(), loop=loop)


async def connections(served: Served) -> list[object]:
    await until(lambda: served.server.connections)
    return list(served.server.connections)


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
def test_reading_pauses_while_the_application_does_not_read(loop: str) -> None:
    async def scenario() -> None:
        gate = asyncio.Event()
        got: list[int] = []

        async def app(scope: Message, receive: Receive, send: Send) -> None:
            await gate.wait()
            more: object = True
            while more:
                message = await receive()
                got.append(len(message["body"]))  # type: ignore[arg-type]  # bytes
                more = message["more_body"]
            await reply(send, b"%d" % sum(got))

        async with serving(app) as served:
            client = await served.connect()
            size = 32 * 1024 * 1024
            client.send(b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: %d\r\n\r\n" % size)
            client.send(b"x" * size)
            await until(lambda: held(served) > 65536)
            assert held(served) < 1024 * 1024
            gate.set()
            assert (await client.response()).body == b"%d" % size
            assert max(got) < 1024 * 1024

    def held(served: Served) -> int:
        exchanges = [connection.stream.exchange for connection in served.server.connections]
        return sum(len(exchange.body) for exchange in exchanges if exchange is not None)

    run(scenario(), loop=loop)


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
def test_a_half_closed_client_is_answered(loop: str) -> None:
    async def scenario() -> None:
        gate = asyncio.Event()

        async def app(scope: Message, receive: Receive, send: Send) -> None:
            await gate.wait()
            await reply(send, b"still here")

        async with serving(app) as served:
            client = await served.connect()
            client.send(GET + GET)
            client.writer.write_eof()
            await until(served.server.in_flight)
            gate.set()
            assert (await client.rest()).count(b"still here") == 2

    run(scenario(), loop=loop)


def test_a_client_that_leaves_in_the_middle_of_its_body_is_a_disconnect() -> None:
    seen: list[str] = []

    async def app(scope: Message, receive: Receive, send: Send) -> None:
        more: object = True
        while more:
            message = await receive()
            seen.append(str(message["type"]))
            more = message.get("more_body", False)

    async def scenario() -> None:
        async with serving(app) as served:
            client: Client = await served.connect()
            client.send(POST + b"he")
            await until(lambda: seen)
            client.writer.write_eof()
            assert await client.rest() == b""
            await until(lambda: not served.server.background)
            assert not served.heard.all("request.failed")

    run(scenario())
    assert seen == ["http.request", "http.disconnect"]
