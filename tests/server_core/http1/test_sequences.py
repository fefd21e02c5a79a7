"""Every message in every phase of a response, and what applications are handed: on both parsers."""

# ruff: noqa: ARG001 - an ASGI application takes three arguments, whether it needs them or not

from __future__ import annotations

import asyncio
import copy
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from server_core.asgi import response_states
from server_core.asgi.http_exchange import Message, Receive, Send
from tests.helpers.http import GET, PARSERS, reply, run, serving, until
from tests.helpers.websocket import handshake

START: Message = {"type": "http.response.start", "status": 200, "headers": []}
PROMISE: Message = {**START, "trailers": True}
MORE: Message = {"type": "http.response.body", "body": b"a", "more_body": True}
LAST: Message = {"type": "http.response.body", "body": b"b"}
HINT: Message = {"type": "http.response.early_hint", "links": [b"</a>"]}
PATH: Message = {"type": "http.response.pathsend", "path": __file__}
TRAILERS: Message = {"type": "http.response.trailers", "headers": [(b"x-sum", b"1")]}
MORE_TRAILERS: Message = {**TRAILERS, "more_trailers": True}
UNKNOWN: Message = {"type": "http.unheard.of"}

MESSAGES = {
    "start": START,
    "promise": PROMISE,
    "more": MORE,
    "last": LAST,
    "hint": HINT,
    "path": PATH,
    "file": {"type": "http.response.zerocopysend"},  # with a file, see below
    "trailers": TRAILERS,
    "more trailers": MORE_TRAILERS,
    "unknown": UNKNOWN,
}

WAYS: Mapping[str, Sequence[Message]] = {
    "not started": [],
    "started": [START],
    "under way": [START, MORE],
    "started, trailers promised": [PROMISE],
    "under way, trailers promised": [PROMISE, MORE],
    "trailers due": [PROMISE, LAST],
    "complete": [START, LAST],
}
"""How each phase is come to. In the middle of a file nothing is legal: test_file_transfer.py."""

LEGAL: Mapping[str, Mapping[str, str]] = {
    "not started": {"start": "started", "promise": "started, trailers promised", "hint": "not started"},
    "started": {
        "more": "under way",
        "last": "complete",
        "hint": "started",
        "path": "complete",
        "file": "complete",
    },
    "under way": {"more": "under way", "last": "complete", "hint": "under way", "file": "complete"},
    "started, trailers promised": {
        "more": "under way, trailers promised",
        "last": "trailers due",
        "hint": "started, trailers promised",
        "path": "trailers due",
        "file": "trailers due",
    },
    "under way, trailers promised": {
        "more": "under way, trailers promised",
        "last": "trailers due",
        "hint": "under way, trailers promised",
        "file": "trailers due",
    },
    "trailers due": {"trailers": "complete", "more trailers": "trailers due"},
    "complete": {},
}
"""Phase and message -> the phase after it; what is not here raises."""

REST: Mapping[str, Sequence[Message]] = {
    "not started": [START, LAST],
    "started": [LAST],
    "under way": [LAST],
    "started, trailers promised": [LAST, TRAILERS],
    "under way, trailers promised": [LAST, TRAILERS],
    "trailers due": [TRAILERS],
    "complete": [],
}
"""What is left to send from each phase."""

PHASES = {
    "not started": response_states.AWAITING_START,
    "started": response_states.AWAITING_BODY,
    "under way": response_states.STREAMING,
    "started, trailers promised": response_states.AWAITING_BODY_THEN_TRAILERS,
    "under way, trailers promised": response_states.STREAMING_THEN_TRAILERS,
    "trailers due": response_states.TRAILERS_DUE,
    "complete": response_states.COMPLETE,
}

REQUEST = b"GET / HTTP/1.1\r\nhost: x\r\nte: trailers\r\nconnection: close\r\n\r\n"


def test_the_table_knows_every_phase_and_every_message() -> None:
    named = {id(phase) for phase, _ in response_states.PHASE_NAMES}
    assert {id(phase) for phase in PHASES.values()} | {id(response_states.POURING)} == named
    assert list(WAYS) == list(LEGAL) == list(REST) == list(PHASES)
    kinds = {kind for phase, _ in response_states.PHASE_NAMES for kind in phase}
    assert kinds == {str(message["type"]) for message in MESSAGES.values()} - {"http.unheard.of"}


@pytest.mark.parametrize("parser", PARSERS)
@pytest.mark.parametrize("message", MESSAGES)
@pytest.mark.parametrize("phase", WAYS)
def test_a_message_is_taken_or_raises_as_the_table_says(phase: str, message: str, parser: str) -> None:
    raised: list[str] = []

    async def app(scope: Message, receive: Receive, send: Send) -> None:
        for each in WAYS[phase]:
            await send(dict(each))
        with open(__file__, "rb") as file:
            try:
                await send({**MESSAGES[message], "file": file} if message == "file" else dict(MESSAGES[message]))
            except RuntimeError as error:
                raised.append(str(error))
                raise
        for each in REST[LEGAL[phase][message]]:
            await send(dict(each))

    async def scenario() -> None:
        async with serving(app, http=parser) as served:
            client = await served.connect()
            client.send(REQUEST)
            said = await client.rest()
            failures = served.heard.all("request.failed")
            if message in LEGAL[phase]:
                assert not failures
                assert b"HTTP/1.1 200 OK\r\n" in said
                assert is_whole(said)
                return
            (told,) = raised
            assert repr(MESSAGES[message]["type"]) in told
            assert next(text for known, text in response_states.PHASE_NAMES if known is PHASES[phase]) in told
            assert len(failures) == 1
            if "started" in phase:
                assert b"HTTP/1.1 500 Internal Server Error\r\n" in said, "nothing had gone out"
            else:
                assert b"HTTP/1.1 200 OK\r\n" in said
                assert is_whole(said) is (phase == "complete"), "a part must not look like the whole"

    run(scenario())


def is_whole(said: bytes) -> bool:
    """Whether the response ends as its framing says."""
    head, _, content = said.removeprefix(b"HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n").partition(b"\r\n\r\n")
    if b"transfer-encoding: chunked" in head:
        return content.endswith((b"\r\n0\r\n\r\n", b"x-sum: 1\r\n\r\n"))
    length = head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0]
    return len(content) == int(length)


WRONG: Sequence[tuple[Sequence[Message], str]] = [
    ([{**START, "status": "200"}], "status: must be a whole number from 200 to 999, not '200'"),
    ([{"type": "http.response.start"}], "send(): http.response.start must hold 'status', and holds type"),
    ([{"status": 200, "headers": []}], "send(): a message must hold 'type', and holds status, headers"),
    ([{}], "send(): a message must hold 'type', and holds nothing"),
    ([{**START, "status": None}], "status: must be a whole number from 200 to 999, not None"),
    ([{**START, "status": 103}], "status: must be a whole number from 200 to 999, not 103"),
    ([{**START, "headers": {b"a": b"b"}}], "headers: each must be a pair of bytes, not bytes"),
    ([{**START, "headers": None}], "headers: must be pairs of bytes, not NoneType"),
    ([{**START, "headers": 7}], "headers: must be pairs of bytes, not int"),
    ([{**START, "headers": [(b"a", b"b", b"c")]}], "headers: each must be a pair of bytes, not tuple of 3"),
    ([{**START, "headers": [("a", "b")]}], "headers: names and values must be bytes, not str and str (field b'a')"),
    (
        [{**START, "headers": [(b"a", None)]}],
        "headers: names and values must be bytes, not bytes and None (field b'a')",
    ),
    ([{**START, "headers": [(b"a b", b"c")]}], "headers: b'a' and then b' ' is not a field name"),
    ([{**START, "headers": [(b"", b"c")]}], "headers: b'' and then b'' is not a field name"),
    ([{**START, "headers": [(b"a", b"b\r\nc: d")]}], "headers: the value of b'a' contains a control character"),
    ([{**START, "headers": [(b"a", b"b\nc")]}], "headers: the value of b'a' contains a control character"),
    ([{**START, "headers": [(b"a", b"\0")]}], "headers: the value of b'a' contains a control character"),
    ([START, {**LAST, "body": "text"}], "body: must be bytes, not str"),
    ([START, {**LAST, "body": None}], "body: must be bytes, not NoneType"),
    ([START, {**LAST, "body": [1]}], "body: must be bytes, not list"),
]


@pytest.mark.parametrize("parser", PARSERS)
@pytest.mark.parametrize(("messages", "said"), WRONG, ids=lambda value: value if isinstance(value, str) else "")
def test_a_wrong_value_is_named_to_the_application_and_a_500_to_the_client(
    messages: Sequence[Message], said: str, parser: str
) -> None:
    raised: list[str] = []

    async def app(scope: Message, receive: Receive, send: Send) -> None:
        try:
            for message in messages:
                await send(dict(message))
        except RuntimeError as error:
            raised.append(str(error))
            raise

    async def scenario() -> None:
        async with serving(app, http=parser) as served:
            client = await served.connect()
            response = await client.get()
            assert (response.status, response.body) == (500, b"Internal Server Error\n")
            assert (await client.get()).status == 500, "the connection is in step"

    run(scenario())
    assert said in raised[0]


SECRET = b"session=5up3r-s3cret"
REFUSED: Sequence[Sequence[object]] = [
    [(b"set-cookie", SECRET), (b"x", b"a\nb")],
    [(b"set-cookie", SECRET + b"\r\n")],
    [(b"set-cookie: " + SECRET, b"")],
    [(b"set-cookie", SECRET.decode())],
    [("set-cookie", SECRET.decode())],
    [["set-cookie", SECRET.decode()]],
    [(b"set-cookie", SECRET, b"")],
    [b"set-cookie: " + SECRET],
    [{b"set-cookie": SECRET}],
    [(b"set-cookie", SECRET), None],
]


@pytest.mark.parametrize("parser", PARSERS)
@pytest.mark.parametrize("logged", [False, True], ids=["", "with fields kept for the access log"])
@pytest.mark.parametrize("kind", ["response", "trailers", "hint", "denial", "acceptance"])
@pytest.mark.parametrize("headers", REFUSED, ids=repr)
def test_a_refused_head_leaves_no_value_and_no_error_of_our_own_in_the_log(
    headers: Sequence[object], kind: str, logged: bool, parser: str, tmp_path: Path
) -> None:
    async def app(scope: Message, receive: Receive, send: Send) -> None:
        if kind == "trailers":
            await send({**START, "trailers": True})
            await send(dict(LAST))
            await send({"type": "http.response.trailers", "headers": headers})
        elif kind == "hint":
            links = [pair[1] if isinstance(pair, (tuple, list)) else pair for pair in headers]
            await send({"type": "http.response.early_hint", "links": links})
        elif kind == "denial":
            await send({"type": "websocket.http.response.start", "status": 401, "headers": headers})
        elif kind == "acceptance":
            await send({"type": "websocket.accept", "headers": headers})
        else:
            await send({**START, "headers": headers})

    fields = {"access_log": str(tmp_path / "log"), "access_log_format": "%s %{x}o"} if logged else {}

    async def scenario() -> None:
        async with serving(app, http=parser, **fields) as served:
            client = await served.connect()
            client.send(handshake() if kind in ("denial", "acceptance") else GET)
            await client.rest() if kind == "trailers" else await client.response()
            (failure,) = served.heard.all("request.failed")
            told = str(failure["traceback"])
            assert "5up3r" not in told
            assert "KeyError" not in told
            assert "ResponseError: " in told

    run(scenario())


def test_an_application_may_correct_itself_before_anything_has_gone_out() -> None:
    async def app(scope: Message, receive: Receive, send: Send) -> None:
        with pytest.raises(RuntimeError):
            await send({**START, "headers": [("a", "b")]})
        await send({**START, "headers": [(b"content-length", b"2")]})
        with pytest.raises(RuntimeError):
            await send({**LAST, "body": b"too long"})
        await send({**LAST, "body": b"ok"})

    async def scenario() -> None:
        async with serving(app) as served:
            assert (await (await served.connect()).get()).body == b"ok"
            assert not served.heard.all("request.failed")

    run(scenario())


def test_bytes_like_bodies_are_taken_as_they_are_now() -> None:
    async def app(scope: Message, receive: Receive, send: Send) -> None:
        changing = bytearray(b"one")
        await send(dict(START))
        await send({**MORE, "body": changing})
        changing[:] = b"two"
        await send({**LAST, "body": memoryview(changing)})

    async def scenario() -> None:
        async with serving(app) as served:
            assert (await (await served.connect()).get()).body == b"onetwo"

    run(scenario())


REQUESTS: Sequence[tuple[bytes, str, Mapping[str, object]]] = [
    (b"GET /a/b?c=d&e HTTP/1.1\r\nHost: x\r\n", "", {"path": "/a/b", "raw_path": b"/a/b", "query_string": b"c=d&e"}),
    (b"GET /%C3%A9%2F%25? HTTP/1.1\r\nHost: x\r\n", "", {"path": "/\xe9/%", "raw_path": b"/%C3%A9%2F%25"}),
    (b"GET /%ff HTTP/1.1\r\nHost: x\r\n", "", {"path": "/\ufffd", "raw_path": b"/%ff", "query_string": b""}),
    (b"GET /a HTTP/1.1\r\nHost: x\r\n", "/api", {"path": "/api/a", "raw_path": b"/a", "root_path": "/api"}),
    (b"GET http://y/a?b HTTP/1.1\r\nHost: x\r\n", "", {"path": "/a", "query_string": b"b", "host": b"y"}),
    (b"OPTIONS * HTTP/1.1\r\nHost: x\r\n", "/api", {"path": "*", "raw_path": b"*", "method": "OPTIONS"}),
    (b"PROPFIND / HTTP/1.1\r\nHost: x\r\nDEPTH:\t1 \r\n", "", {"method": "PROPFIND", "depth": b"1"}),
    (b"X-custom / HTTP/1.1\r\nHost: x\r\n", "", {"method": "X-custom"}),
    (b"GET / HTTP/1.0\r\n", "", {"http_version": "1.0", "headers": []}),
    (b"GET / HTTP/1.1\r\nHost: x\r\nA: 1\r\nB: 2\r\na: 3\r\nCookie: \xe9\r\n", "", {"a": b"1|3", "cookie": b"\xe9"}),
]


def checked(scope: Message) -> dict[str, object]:
    """The scope with its headers by name, once every type in it is what ASGI says."""
    types: dict[str, type | tuple[type, ...]] = {
        **dict.fromkeys(("type", "http_version", "method", "scheme", "path", "root_path"), str),
        **dict.fromkeys(("raw_path", "query_string"), bytes),
        **dict.fromkeys(("client", "server"), (list, tuple)),
        **dict.fromkeys(("asgi", "extensions", "state"), dict),
        "headers": list,
    }
    assert set(scope) == set(types)
    assert {name: value for name, value in scope.items() if not isinstance(value, types[name])} == {}
    assert scope["asgi"] == {"version": "3.0", "spec_version": "2.3"}
    assert all(isinstance(value, dict) for value in scope["extensions"].values())  # type: ignore[attr-defined]
    for address in (scope["client"], scope["server"]):
        host, port = address  # type: ignore[misc]  # a pair
        assert (type(host), type(port)) == (str, int)
    names: dict[str, object] = {}
    for name, value in scope["headers"]:  # type: ignore[attr-defined]  # a list
        assert (type(name), type(value)) == (bytes, bytes)
        assert name == name.lower().strip()
        before = names.get(name.decode())
        names[name.decode()] = value if before is None else b"%b|%b" % (before, value)
    assert copy.deepcopy(scope) == scope
    return {**names, **scope}


@pytest.mark.parametrize("parser", PARSERS)
def test_an_application_that_checks_its_scope_finds_what_asgi_says(parser: str) -> None:
    found: list[dict[str, object]] = []

    async def app(scope: Message, receive: Receive, send: Send) -> None:
        found.append(checked(scope))
        await reply(send, b"")

    async def scenario() -> None:
        for request, root_path, _ in REQUESTS:
            async with serving(app, http=parser, root_path=root_path, state={"a": 1}) as served:
                client = await served.connect()
                client.send(request + b"\r\n")
                assert (await client.response()).status == 200, served.heard.events

    run(scenario())
    for scope, (_, _, expected) in zip(found, REQUESTS, strict=True):
        assert {name: scope[name] for name in expected} == expected


@pytest.mark.parametrize("parser", PARSERS)
def test_a_cancelled_receive_is_followed_by_no_false_disconnect(parser: str) -> None:
    said: list[object] = []

    async def app(scope: Message, receive: Receive, send: Send) -> None:
        assert (await receive())["type"] == "http.request"
        for _ in range(3):
            waiting = asyncio.ensure_future(receive())
            await asyncio.wait({waiting}, timeout=0.001)
            waiting.cancel()
            await asyncio.wait({waiting})
            assert waiting.cancelled(), "nothing has happened that it could have told"
        waiting = asyncio.ensure_future(receive())
        await send(dict(START))
        await send(dict(MORE))
        said.append(waiting.done())
        await send(dict(LAST))
        said.append((await waiting)["type"])

    async def scenario() -> None:
        async with serving(app, http=parser) as served:
            client = await served.connect()
            for _ in range(2):
                client.send(b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 5\r\n\r\nhello")
                assert (await client.response()).body == b"ab"
            await until(lambda: len(said) == 4)
            assert not served.heard.all("request.failed")

    run(scenario())
    assert said == [False, "http.disconnect"] * 2, "only the end of the response ends the request"
