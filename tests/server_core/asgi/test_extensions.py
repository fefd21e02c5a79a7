"""What the server offers beyond a head and a body, on the wire: hints ahead of a response, trailers behind it."""

# ruff: noqa: ARG001 - an ASGI application takes three arguments, whether it needs them or not

from __future__ import annotations

import copy

import pytest

from server_core.asgi.extensions import EXTENSIONS
from server_core.asgi.http_exchange import Application, Message, Receive, Send
from tests.helpers.http import GET, Served, run, serving

HINT, TRAILERS = "http.response.early_hint", "http.response.trailers"
START: Message = {"type": "http.response.start", "status": 200, "headers": []}
LINKS = [b"</style.css>; rel=preload; as=style", b"<https://cdn.example>; rel=preconnect"]
HINTED = (
    b"HTTP/1.1 103 Early Hints\r\n"
    b"link: </style.css>; rel=preload; as=style\r\nlink: <https://cdn.example>; rel=preconnect\r\n\r\n"
)
TE = b"GET / HTTP/1.1\r\nhost: x\r\nte: %b\r\nconnection: close\r\n\r\n"
CLOSE = b"GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n"
OLD = b"GET / HTTP/1.0\r\n\r\n"


def said(app: Application, request: bytes, **settings: object) -> tuple[bytes, Served]:
    """All bytes up to the end of the connection, and what the server had to say."""
    kept: list[tuple[bytes, Served]] = []

    async def scenario() -> None:
        async with serving(app, server_header=False, date_header=False, **settings) as served:
            client = await served.connect()
            client.send(request)
            kept.append((await client.rest(), served))

    run(scenario())
    return kept[0]


def sends(*messages: Message) -> Application:
    async def app(scope: Message, receive: Receive, send: Send) -> None:
        for message in messages:
            await send(dict(message))

    return app


def body(data: bytes, *, more: bool = False) -> Message:
    return {"type": "http.response.body", "body": data, "more_body": more}


def trailers(*fields: object, more: bool = False) -> Message:
    return {"type": TRAILERS, "headers": fields, "more_trailers": more}


def test_extensions_are_told_where_they_work() -> None:
    told: list[object] = []

    async def app(scope: Message, receive: Receive, send: Send) -> None:
        told.append(scope["extensions"])
        copy.deepcopy(scope)
        await sends(START, body(b""))(scope, receive, send)

    said(app, GET + OLD)
    assert told == [EXTENSIONS[b"HTTP/1.1"], EXTENSIONS[b"HTTP/1.0"]]
    assert told[0] is not EXTENSIONS[b"HTTP/1.1"]


@pytest.mark.parametrize("name", EXTENSIONS[b"HTTP/1.1"])
def test_what_all_requests_share_of_an_extension_cannot_be_changed(name: str) -> None:
    settings = EXTENSIONS[b"HTTP/1.1"][name]
    assert isinstance(settings, dict)
    with pytest.raises(TypeError, match="no settings"):
        settings["a"] = 1
    with pytest.raises(TypeError, match="no settings"):
        settings.update(a=1)
    assert settings == {}


@pytest.mark.parametrize("started", [True, False], ids=["started", "not started"])
def test_an_early_hint_goes_out_at_once_and_ahead_of_the_response(started: bool) -> None:
    async def app(scope: Message, receive: Receive, send: Send) -> None:
        if started:
            await send(dict(START))
        await send({"type": HINT, "links": iter(LINKS)})
        await send({"type": HINT, "links": [b"</2>"]})
        await receive()
        if not started:
            await send(dict(START))
        await send(body(b"ok"))

    async def scenario() -> None:
        async with serving(app) as served:
            client = await served.connect()
            client.send(b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 1\r\n\r\n")
            hinted = HINTED + b"HTTP/1.1 103 Early Hints\r\nlink: </2>\r\n\r\n"
            assert await client.reader.readexactly(len(hinted)) == hinted
            client.send(b"x")
            assert (await client.response()).body == b"ok"
            assert served.server.figures().responses == (0, 1, 0, 0, 0)

    run(scenario())


def test_a_hint_that_comes_too_late_is_no_error_and_goes_nowhere() -> None:
    answer, served = said(sends(START, body(b"a", more=True), {"type": HINT, "links": LINKS}, body(b"b")), CLOSE)
    assert b"103" not in answer
    assert answer.endswith(b"1\r\na\r\n1\r\nb\r\n0\r\n\r\n")
    assert not served.heard.all("request.failed")


def test_http_1_0_gets_no_interim_response_and_no_links_are_no_hint() -> None:
    app = sends({"type": HINT, "links": LINKS}, START, body(b"ok"))
    assert said(app, OLD)[0].startswith(b"HTTP/1.1 200 OK\r\n")
    assert said(sends({"type": HINT}, START, body(b"ok")), CLOSE)[0].startswith(b"HTTP/1.1 200 OK\r\n")


@pytest.mark.parametrize(
    "links",
    [b"</a>", "</a>", ["</a>"], [b"/a"], [b""], [b"</a>\r\nx: y"], [b"</a>\0"], [b"<a\r\nb>"], [b"</a"], 5],
    ids=repr,
)
def test_a_link_that_is_none_is_refused_and_nothing_of_it_goes_out(links: object) -> None:
    answer, served = said(sends({"type": HINT, "links": links}, START, body(b"ok")), CLOSE)
    assert answer.startswith(b"HTTP/1.1 500 ")
    (failure,) = served.heard.all("request.failed")
    assert "links: " in str(failure["traceback"])


PROMISED = {**START, "trailers": True}


def test_trailers_follow_the_last_chunk_for_a_client_that_takes_them() -> None:
    app = sends(
        PROMISED, body(b"a", more=True), body(b"b"), trailers((b"x-sum", b"1"), more=True), trailers([b"x-n", b"2"])
    )
    answer, served = said(app, TE % b"trailers")
    assert answer.endswith(b"\r\n\r\n1\r\na\r\n1\r\nb\r\n0\r\nx-sum: 1\r\nx-n: 2\r\n\r\n")
    assert not served.heard.all("request.failed")


@pytest.mark.parametrize("te", [b"gzip;q=0.5, Trailers", b"trailers;q=1", b"x\r\nTE: trailers"])
def test_the_client_says_in_te_that_it_takes_trailers(te: bytes) -> None:
    assert said(sends(PROMISED, body(b""), trailers((b"x-sum", b"1"))), TE % te)[0].endswith(b"0\r\nx-sum: 1\r\n\r\n")


@pytest.mark.parametrize("request_bytes", [CLOSE, TE % b"trailer", TE % b"gzip"], ids=["none", "no token", "other"])
def test_a_client_that_does_not_ask_gets_no_trailers(request_bytes: bytes) -> None:
    answer, served = said(sends(PROMISED, body(b"a"), trailers((b"x-sum", b"1"))), request_bytes)
    assert answer.endswith(b"\r\n\r\n1\r\na\r\n0\r\n\r\n")
    assert not served.heard.all("request.failed")


@pytest.mark.parametrize(
    ("request_bytes", "length", "end"),
    [
        (TE % b"trailers", [(b"content-length", b"2")], b"\r\n\r\nok"),
        (b"GET / HTTP/1.0\r\nTE: trailers\r\n\r\n", [], b"\r\n\r\nok"),
        (TE.replace(b"GET", b"HEAD") % b"trailers", [], b"\r\n\r\n"),
    ],
    ids=["counted", "HTTP/1.0", "HEAD"],
)
def test_without_chunks_there_is_no_place_for_trailers(
    request_bytes: bytes, length: list[tuple[bytes, bytes]], end: bytes
) -> None:
    app = sends({**PROMISED, "headers": length}, body(b"ok"), trailers((b"x-sum", b"1")))
    answer, served = said(app, request_bytes)
    assert answer.endswith(end)
    assert answer.count(b"\r\n\r\n") == 1
    assert b"x-sum" not in answer
    assert not served.heard.all("request.failed")


def test_the_connection_is_in_step_after_trailers() -> None:
    async def scenario() -> None:
        async with serving(sends(PROMISED, body(b"a"), trailers((b"x-sum", b"1")), START, body(b"b"))) as served:
            client = await served.connect()
            client.send(TE.replace(b"connection: close\r\n", b"") % b"trailers")
            await client.reader.readuntil(b"x-sum: 1\r\n\r\n")
            assert served.heard.all("request.failed"), "the second start is one too many"
            client.send(TE % b"trailers")
            assert (await client.reader.readuntil(b"x-sum: 1\r\n\r\n")).startswith(b"HTTP/1.1 200 OK\r\n")

    run(scenario())


@pytest.mark.parametrize(
    "field",
    [
        (b"content-length", b"1"),
        (b"Transfer-Encoding", b"chunked"),
        (b"set-cookie", b"a=b"),
        (b"content-type", b"text/plain"),
        (b"x", b"y\r\nz: 1"),
        (b"x y", b"z"),
        (b"x", "y"),
        b"x",
    ],
    ids=repr,
)
@pytest.mark.parametrize("te", [b"trailers", b"gzip"])
def test_a_trailer_that_may_not_be_one_cuts_the_response(field: object, te: bytes) -> None:
    answer, served = said(sends(PROMISED, body(b"a"), trailers(field)), TE % te)
    assert answer.endswith(b"\r\n\r\n1\r\na\r\n"), "the last chunk must be missing"
    assert "headers: " in str(served.heard.all("request.failed")[0]["traceback"])


def test_promised_trailers_that_do_not_come_cut_the_response() -> None:
    answer, served = said(sends(PROMISED, body(b"a")), TE % b"trailers")
    assert answer.endswith(b"\r\n\r\n1\r\na\r\n")
    assert len(served.heard.all("request.failed")) == 1
