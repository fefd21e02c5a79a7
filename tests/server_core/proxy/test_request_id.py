"""Request ids: whose is taken, where they appear, and that nothing of them is left where they are off."""

# ruff: noqa: ARG001 - an ASGI application takes three arguments, whether it needs them or not

from __future__ import annotations

import random
import re
from pathlib import Path

import pytest

from server_core.asgi.http_exchange import Message, Receive, Send
from server_core.proxy.request_id import RequestIds, request_id_of
from tests.helpers.bench import Bench, settle
from tests.helpers.http import GET, PARSERS, Client, parse_head, parse_responses, reply, run, serving
from tests.helpers.websocket import handshake

MADE = re.compile(r"[0-9a-f]{32}")


async def tell(scope: Message, receive: Receive, send: Send) -> None:
    if scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.accept"})
        await send({"type": "websocket.close"})
    else:
        await reply(send, str(request_id_of(scope)).encode())


def asked(value: bytes) -> bytes:
    return GET.replace(b"host", b"x-request-id: %b\r\nhost" % value)


async def both(client: Client, request: bytes) -> str:
    """The id that application and client see, which must be one."""
    response = await client.get(request)
    assert response.headers["x-request-id"] == response.body.decode()
    return response.body.decode()


@pytest.mark.parametrize("parser", PARSERS)
def test_each_request_has_an_id_of_its_own_in_scope_and_response(parser: str) -> None:
    async def scenario() -> None:
        async with serving(tell, http=parser, request_id="X-Request-ID") as served:
            client = await served.connect()
            seen = {await both(client, GET) for _ in range(20)}
            assert len(seen) == 20
            assert all(MADE.fullmatch(each) for each in seen)

    run(scenario())


@pytest.mark.parametrize("parser", PARSERS)
@pytest.mark.parametrize(
    ("value", "is_taken"),
    [
        (b"abc-123", True),
        (b'Root=1-67891233;"quoted"\\', True),
        (b"x" * 200, True),
        (b"x" * 201, False),
        (b"", False),
        (b"two words", False),
        (b"\xc3\xa9", False),
        (b"a\r\nx-request-id: b", False),
    ],
)
def test_an_id_of_a_trusted_peer_is_taken_if_it_is_well_formed(value: bytes, is_taken: bool, parser: str) -> None:
    async def scenario() -> None:
        async with serving(tell, http=parser, request_id="x-request-id") as served:
            found = await both(await served.connect(), asked(value))
            assert (found == value.decode("latin-1")) is is_taken
            assert is_taken or MADE.fullmatch(found)

    run(scenario())


def test_an_id_of_anybody_else_is_replaced() -> None:
    async def scenario() -> None:
        async with serving(tell, request_id="x-request-id", forwarded_allow_ips="10.0.0.1") as served:
            assert MADE.fullmatch(await both(await served.connect(), asked(b"mine")))

    run(scenario())


def test_an_id_and_forwarding_fields_do_not_get_into_each_others_way() -> None:
    async def who(scope: Message, receive: Receive, send: Send) -> None:
        await reply(send, f"{scope['client']} {request_id_of(scope)}".encode())

    async def scenario() -> None:
        for name, value in (("x-forwarded-for", b"192.0.2.1"), ("forwarded", b"for=192.0.2.1")):
            async with serving(who, request_id="X-Id", forwarded_headers=name) as served:
                request = GET.replace(b"host", b"%b: %b\r\nx-id: 5\r\nhost" % (name.encode(), value))
                assert (await (await served.connect()).get(request)).body == b"('192.0.2.1', 0) 5"

    run(scenario())


def test_the_lifespans_state_is_there_besides_and_stays_as_it_was() -> None:
    async def app(scope: Message, receive: Receive, send: Send) -> None:
        assert isinstance(scope["state"], dict)
        await reply(send, ",".join(scope["state"]).encode())

    async def scenario() -> None:
        state: dict[str, object] = {"pool": 1}
        async with serving(app, request_id="x-request-id", state=state) as served:
            assert (await (await served.connect()).get()).body == b"pool,request_id"
        assert state == {"pool": 1}

    run(scenario())


def test_an_application_that_names_the_response_itself_is_left_alone() -> None:
    async def app(scope: Message, receive: Receive, send: Send) -> None:
        headers = [(b"X-Request-Id", b"its own"), (b"content-length", b"0")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body"})

    async def scenario() -> None:
        async with serving(app, request_id="x-request-id") as served:
            client = await served.connect()
            for _ in range(2):
                assert (await client.get()).headers["x-request-id"] == "its own"

    run(scenario())


def test_every_framing_carries_the_id_and_keeps_its_length() -> None:
    async def app(scope: Message, receive: Receive, send: Send) -> None:
        counted = [(b"content-length", b"2")] if scope["path"] == "/counted" else []
        await send({"type": "http.response.start", "status": 200, "headers": counted})
        await send({"type": "http.response.body", "body": b"h", "more_body": True})
        await send({"type": "http.response.body", "body": b"i"})

    async def scenario() -> None:
        async with serving(app, request_id="x-request-id") as served:
            client = await served.connect()
            for path in (b"/counted", b"/chunked"):
                response = await client.get(asked(b"id").replace(b"GET /", b"GET " + path))
                assert (response.headers["x-request-id"], response.body) == ("id", b"hi")

    run(scenario())


def test_a_failure_names_the_request_to_the_client_and_to_the_log() -> None:
    async def app(scope: Message, receive: Receive, send: Send) -> None:
        raise RuntimeError

    async def scenario() -> None:
        async with serving(app, request_id="x-request-id") as served:
            response = await (await served.connect()).get(asked(b"abc"))
            assert (response.status, response.headers["x-request-id"]) == (500, "abc")
            (failed,) = served.heard.all("request.failed")
            assert failed["request_id"] == "abc"

    run(scenario())


def test_a_refusal_of_a_body_has_the_requests_name() -> None:
    async def app(scope: Message, receive: Receive, send: Send) -> None:
        while (await receive())["type"] != "http.disconnect":
            pass

    async def scenario() -> None:
        async with serving(app, request_id="x-request-id", limit_body=10) as served:
            client = await served.connect()
            client.send(asked(b"abc").replace(b"\r\n\r\n", b"\r\ntransfer-encoding: chunked\r\n\r\n1\r\na\r\nff\r\n"))
            response = await client.response()
            assert (response.status, response.headers["x-request-id"]) == (413, "abc")
            (refused,) = served.heard.all("request.refused")
            assert refused["request_id"] == "abc"

    run(scenario())


BODY = b"post / HTTP/1.1\r\nx-request-id: abc\r\nhost: x\r\ncontent-length: 11\r\n\r\n"
REFUSED = [
    (asked(b"abc").replace(b"host", b"no-host"), 400, True),
    (asked(b"abc").replace(b"host: x", b"host: x\r\nexpect: more"), 417, True),
    (asked(b"abc").replace(b"HTTP/1.1", b"HTTP/1.2"), 505, True),
    (asked(b"abc").replace(b"host: x", b'host: x\r\nforwarded: for="'), 400, True),
    (BODY, 413, True),
    (handshake(b"x-request-id: abc").replace(b"version: 13", b"version: 12"), 426, True),
    (asked(b"abc").replace(b"host: x", b"host: x\r\nx-request-id: def\r\nhost: x"), 400, False),
    (asked(b"two words").replace(b"host", b"no-host"), 400, False),
    (asked(b"abc").replace(b"host: x", b"host: x\r\na: \x00"), 400, False),
    (b"nonsense\r\n\r\n", 400, False),
]


@pytest.mark.parametrize("is_trusted", [True, False])
@pytest.mark.parametrize("parser", PARSERS)
@pytest.mark.parametrize(("request_bytes", "status", "is_taken"), REFUSED)
def test_a_refused_request_has_one_name_in_answer_log_and_access_log(
    request_bytes: bytes, status: int, is_taken: bool, parser: str, is_trusted: bool, tmp_path: Path
) -> None:
    async def scenario() -> None:
        log = tmp_path / "access.log"
        async with serving(
            tell,
            http=parser,
            request_id="x-request-id",
            limit_body=10,
            forwarded_headers="forwarded",
            forwarded_allow_ips="*" if is_trusted else "192.0.2.1",
            access_log=str(log),
            access_log_format="%L %s",
        ) as served:
            client = await served.connect()
            before = (await client.get(asked(b"before"))).headers["x-request-id"]
            client.send(request_bytes)
            response = await client.response()
            found = response.headers["x-request-id"]
            if b"forwarded" in request_bytes and not is_trusted:
                assert response.status == 200, "nobody has read it"
                return
            assert response.status == status
            assert found == "abc" if is_taken and is_trusted else MADE.fullmatch(found)
            (refused,) = served.heard.all("request.refused")
            assert refused["request_id"] == found
            served.server.sweep(served.server.now)
            assert log.read_text() == f"{before} 200\n{found} {status}\n"

    run(scenario())


def test_a_request_that_takes_too_long_is_named_in_answer_and_log() -> None:
    async def app(scope: Message, receive: Receive, send: Send) -> None:
        while (await receive())["type"] != "http.disconnect":
            pass

    async def scenario() -> None:
        bench = Bench(app, request_id="x-request-id", forwarded_allow_ips="*", request_timeout=1e-9)
        await bench.feed(asked(b"abc"))
        bench.sweep(1.0)
        (response,) = parse_responses(bench.transport.written)
        assert (response.status, response.headers["x-request-id"]) == (504, "abc")
        assert [told["request_id"] for told in bench.heard.all("request.expired")] == ["abc"]
        assert [told["request_id"] for told in bench.heard.all("request.refused")] == ["abc"]
        await settle()

    run(scenario())


def test_a_head_that_does_not_come_whole_gets_a_name_of_its_own() -> None:
    async def scenario() -> None:
        bench = Bench(request_id="x-request-id", forwarded_allow_ips="*", header_timeout=10.0)
        await bench.feed(asked(b"abc")[:-2])
        bench.sweep(12.0)
        (response,) = parse_responses(bench.transport.written)
        assert response.status == 408
        assert MADE.fullmatch(response.headers["x-request-id"])

    run(scenario())


def test_a_websocket_is_named_in_its_acceptance() -> None:
    async def scenario() -> None:
        async with serving(tell, request_id="x-request-id") as served:
            client = await served.connect()
            client.send(handshake(b"x-request-id: ws-1"))
            head, _ = parse_head(await client.reader.readuntil(b"\r\n\r\n"))
            assert (head.status, head.headers["x-request-id"]) == (101, "ws-1")

    run(scenario())


def test_without_the_setting_there_is_nothing_of_it() -> None:
    async def scenario() -> None:
        async with serving(tell) as served:
            response = await (await served.connect()).get(asked(b"abc"))
            assert response.body == b"None"
            assert "x-request-id" not in response.headers

    run(scenario())


def test_an_application_that_seeds_its_randomness_does_not_repeat_ids() -> None:
    made = set()
    for _ in range(2):
        random.seed(1)
        made.add(RequestIds("x-request-id").make())
    assert len(made) == 2
