"""One line for whatever ends: served, refused, cut, denied, closed; and none is lost at the drain."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import cast

import pytest

from server_core.asgi.http_exchange import Message, Receive, Send
from server_core.server.access_log import chosen
from server_core.settings.declaration import ServerSettings
from tests.helpers.bench import Bench
from tests.helpers.http import GET, PARSERS, Served, reflect, reply, run, serving, until
from tests.helpers.websocket import TEXT, close_frame, frame, handshake, next_frame


def lines(served: Served, path: Path) -> list[dict[str, object]]:
    """What the log has by now."""
    served.server.sweep(served.server.now)
    return [json.loads(line) for line in path.read_text().splitlines()]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "access.log"


def test_a_served_request_is_one_line_with_its_figures(path: Path) -> None:
    async def scenario() -> None:
        form = '%(h)s "%(r)s" %(s)s %(B)s %X %{content-type}o'
        async with serving(reflect, access_log=str(path), access_log_format=form) as served:
            client = await served.connect()
            response = await client.get(b'GET /a?"b\\ HTTP/1.1\r\nHost: x\r\nX-Forwarded-For: 192.0.2.7\r\n\r\n')
            client.send(b"GET / HTTP/1.1\r\n\r\n")
            await client.rest()
            assert path.read_bytes() == b"", "lines are written in batches"
            served.server.sweep(served.server.now)
            first, second = path.read_text().splitlines()
            assert first == rf'192.0.2.7 "GET /a?\"b\\ HTTP/1.1" 200 {len(response.body)} + text/plain'
            assert second.startswith('127.0.0.1 "GET / HTTP/1.1" 400 ')

    run(scenario())


@pytest.mark.parametrize(
    ("settings", "form"),
    [
        ({"access_log": "-"}, "combined"),
        ({"access_log": "/x"}, "combined"),
        ({"access_log": "stderr", "log_format": "json"}, "json"),
        ({"access_log": "stderr", "log_format": "console"}, "console"),
        ({"access_log": "-", "access_log_format": "uvicorn"}, "uvicorn"),
    ],
)
def test_auto_follows_the_log_on_standard_error_and_is_combined_elsewhere(settings: dict[str, str], form: str) -> None:
    assert chosen(ServerSettings(**settings)) == form  # type: ignore[arg-type]  # two texts


@pytest.mark.parametrize("http", PARSERS)
def test_fields_are_the_clients_own_each_time_whatever_an_application_makes_of_them(path: Path, http: str) -> None:
    async def app(scope: Message, _receive: Receive, send: Send) -> None:
        headers = cast("list[tuple[bytes, bytes]]", scope["headers"])
        if scope["path"] == "/meddle":
            headers[:] = [(name, value + b" (meddled with)") for name, value in headers]
        await reply(send, b"ok")

    async def scenario() -> None:
        form = "%(s)s %(m)s %(U)s %({user-agent}i)s %(f)s"
        async with serving(app, access_log=str(path), access_log_format=form, http=http) as served:
            client = await served.connect()
            mine = b"User-Agent: mine\r\nUser-Agent: last\r\n"
            for target, fields in (
                (b"/", mine),
                (b"/meddle", mine),
                (b"/", mine),
                (b"/", b"Referer: /b\r\n"),
                (b"/", b""),
            ):
                await client.get(b"GET %b HTTP/1.1\r\nHost: x\r\n%b\r\n" % (target, fields))
            await client.get(b"GET http://x/ HTTP/1.1\r\nHost: x\r\n%b\r\n" % mine)
            served.server.sweep(served.server.now)
            assert path.read_text().splitlines() == [
                "200 GET / last -",
                "200 GET /meddle last -",
                "200 GET / last -",
                "200 GET / - /b",
                "200 GET / - -",
                "200 GET / last -",
            ]

    run(scenario())


def test_the_lines_of_a_drain_are_written_before_it_ends(path: Path) -> None:
    async def scenario() -> None:
        async with serving(reflect, access_log=str(path)) as served:
            client = await served.connect()
            await client.get()
            client.close()
            await served.server.drain(5.0, final=True)
            assert path.read_bytes().count(b"\n") == 1

    run(scenario())


def test_a_client_that_leaves_before_its_answer_is_told_as_cut(path: Path) -> None:
    async def scenario() -> None:
        asked = asyncio.Event()

        async def never(_scope: Message, receive: Receive, _send: Send) -> None:
            asked.set()
            while (await receive())["type"] != "http.disconnect":
                pass

        async with serving(never, access_log=str(path), access_log_format="json") as served:
            client = await served.connect()
            client.send(GET)
            await asked.wait()
            client.reset()
            await until(lambda: not served.server.connections and not served.server.background)
            (line,) = lines(served, path)
            assert (line["status"], line["complete"], line["bytes"]) == (499, False, 0)
            quiet = await served.connect()
            asked.clear()
            quiet.send(GET)
            await asked.wait()
            quiet.writer.write_eof()
            await quiet.rest()
            assert [line["status"] for line in lines(served, path)] == [499, 499], "the other way to leave"

    run(scenario())


def test_a_response_that_breaks_off_is_told_as_cut_with_what_went_out(path: Path) -> None:
    async def breaks(_scope: Message, _receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"half", "more_body": True})
        raise ValueError("mistake")

    async def scenario() -> None:
        async with serving(breaks, access_log=str(path), access_log_format="json") as served:
            client = await served.connect()
            client.send(GET)
            await client.rest()
            await until(lambda: not served.server.connections)
            (line,) = lines(served, path)
            assert (line["status"], line["complete"], line["bytes"]) == (200, False, 4)

    run(scenario())


def test_an_application_that_raises_before_its_answer_is_one_line_of_500(path: Path) -> None:
    async def raises(_scope: Message, _receive: Receive, _send: Send) -> None:
        raise ValueError("mistake")

    async def scenario() -> None:
        async with serving(raises, access_log=str(path), access_log_format="json") as served:
            client = await served.connect()
            assert (await client.get()).status == 500
            client.close()
            await until(lambda: not served.server.connections)
            (line,) = lines(served, path)
            assert (line["status"], line["complete"]) == (500, True)

    run(scenario())


def test_a_request_that_is_refused_in_its_body_is_one_line_with_its_target(path: Path) -> None:
    async def scenario() -> None:
        async with serving(reflect, access_log=str(path), access_log_format="json") as served:
            client = await served.connect()
            client.send(b"POST /up HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n")
            await until(lambda: served.server.figures().in_flight)
            client.send(b"zz\r\n")
            await client.rest()
            await until(lambda: not served.server.connections and not served.server.background)
            (line,) = lines(served, path)
            assert (line["status"], line["target"]) == (400, "/up")

    run(scenario())


REFUSED = [
    (b"GET /no-host?q HTTP/1.1\r\nuser-agent: curl\r\n\r\n", '"GET /no-host?q HTTP/1.1" 400 "curl" /no-host'),
    (b"CONNECT a.example:443 HTTP/1.1\r\nhost: x\r\n\r\n", '"CONNECT a.example:443 HTTP/1.1" 501 "-" a.example:443'),
    (b"GET / HTTP/2.0\r\n\r\n", '"GET / HTTP/2.0" 505 "-" /'),
    (b'GET /"\\ HTTP/1.1\r\nhost: x\r\nhost: y\r\n\r\n', r'"GET /\"\\ HTTP/1.1" 400 "-" /\"\\'),
    (b"GET / HTTP/1.1\r\nhost: x\r\na: \x1b[2J\r\nuser-agent: c\r\n\r\n", '"GET / HTTP/1.1" 400 "-" /'),
    (b"GET / HTTP/1.1\r\nhost: x\r\na: b\nc: d\r\n\r\n", '"GET / HTTP/1.1" 400 "-" /'),
    (b"GET / HTTP/1.1\r\nhost: x\r\n%b\r\n" % (b"a: b\r\n" * 101), '"GET / HTTP/1.1" 431 '),
    (b"POST /up HTTP/1.1\r\nhost: x\r\nuser-agent: c\r\ncontent-length: 11\r\n\r\n", '"POST /up HTTP/1.1" 413 "c" /up'),
    (b"GET / HTTP/1.1\r\nhost: x\r\nexpect: more\r\nuser-agent: c\r\n\r\n", '"GET / HTTP/1.1" 417 "c" /'),
    (handshake().replace(b"version: 13", b"version: 12"), '"GET /ws?q=1 HTTP/1.1" 426 '),
    (b'PUT / HTTP/1.1\r\nhost: x\r\ncontent-length: 1\r\nforwarded: for="\r\n\r\nx', '"PUT / HTTP/1.1" 400 "-" /'),
    (b"GET /\x1b[2J HTTP/1.1\r\nhost: x\r\n\r\n", '"- - HTTP/-" 400 "-" -'),
    (b"GET / HTTP/1.1 200\r\nhost: x\r\n\r\n", '"- - HTTP/-" 400 "-" -'),
    (b"GET /%b" % (b"x" * 9000), '"- - HTTP/-" 414 "-" -'),
]


@pytest.mark.parametrize("size", [1, 100_000], ids=["byte by byte", "whole"])
@pytest.mark.parametrize("parser", PARSERS)
@pytest.mark.parametrize(("request_bytes", "told"), REFUSED)
def test_a_refused_request_is_told_by_its_line_if_that_is_well_formed(
    request_bytes: bytes, told: str, parser: str, size: int, path: Path
) -> None:
    async def scenario() -> None:
        form = '"%(r)s" %(s)s "%(a)s" %(U)s'
        bench = Bench(
            http=parser,
            access_log=str(path),
            access_log_format=form,
            limit_body=10,
            forwarded_headers="forwarded",
            forwarded_allow_ips="*",
        )
        for at in range(0, len(request_bytes), size):
            bench.transport.feed(request_bytes[at : at + size])
        assert len(bench.statuses()) == 1, "and it is answered"
        bench.server.close()
        (line,) = path.read_text().splitlines()
        assert line.startswith(told)

    asyncio.run(scenario())


@pytest.mark.parametrize(
    ("begun", "told"), [(b"GET /slow HTTP/1.1\r\nhost: x\r\n", "GET /slow HTTP/1.1"), (b"GET /slo", "- - HTTP/-")]
)
def test_a_head_that_does_not_come_whole_is_told_by_its_line(begun: bytes, told: str, path: Path) -> None:
    async def scenario() -> None:
        bench = Bench(access_log=str(path), access_log_format="%r %s", header_timeout=10.0)
        await bench.feed(begun)
        bench.sweep(12.0)
        bench.server.close()
        assert path.read_text() == f"{told} 408\n"

    asyncio.run(scenario())


@pytest.mark.parametrize(
    ("field", "client"),
    [
        (b"x-forwarded-for: 192.0.2.9\r\nx-forwarded-host: a\r\nx-forwarded-port: 5", "192.0.2.9"),
        (b"x-forwarded-for: nobody", "192.0.2.1"),
    ],
)
def test_the_client_of_a_refused_request_is_whom_a_trusted_proxy_tells(field: bytes, client: str, path: Path) -> None:
    async def scenario() -> None:
        told = {"forwarded_headers": "x-forwarded-for,x-forwarded-host,x-forwarded-port", "request_id": "x-id"}
        log = {"access_log": str(path), "access_log_format": "%h %L %s"}
        for trusted, expected in (("192.0.2.1", client), ("192.0.2.2", "192.0.2.1")):
            bench = Bench(forwarded_allow_ips=trusted, **told, **log)
            await bench.feed(b"GET / HTTP/1.1\r\nhost: x:y\r\nx-id: 7\r\n%b\r\n\r\n" % field)
            bench.server.close()
            last = path.read_text().splitlines()[-1].split(" ")
            assert (last[0], last[1] == "7", last[2]) == (expected, trusted == "192.0.2.1", "400")

    asyncio.run(scenario())


def test_a_line_that_is_too_long_is_told_as_far_as_a_text_may_be_long(path: Path) -> None:
    async def scenario() -> None:
        bench = Bench(access_log=str(path), access_log_format="%r %s")
        await bench.feed(b"GET /%b HTTP/1.1\r\nhost: x\r\n\r\n" % (b"x" * 20_000))
        bench.server.close()
        assert path.read_text() == f"GET /{'x' * 8191} HTTP/1.1 414\n"

    asyncio.run(scenario())


def test_a_websocket_is_one_line_when_it_ends(path: Path) -> None:
    async def echo(_scope: Message, receive: Receive, send: Send) -> None:
        await receive()
        await send({"type": "websocket.accept"})
        while (message := await receive())["type"] == "websocket.receive":
            await send({"type": "websocket.send", "text": message["text"]})

    async def scenario() -> None:
        async with serving(echo, access_log=str(path), access_log_format="json") as served:
            client = await served.connect()
            client.send(handshake())
            await client.reader.readuntil(b"\r\n\r\n")
            client.send(frame(TEXT, b"hello"))
            await next_frame(client)
            assert lines(served, path) == [], "it goes on"
            client.send(close_frame(1001))
            await client.rest()
            await until(lambda: not served.server.connections)
            (line,) = lines(served, path)
            assert (line["type"], line["status"], line["close_code"]) == ("websocket", 101, 1001)
            assert line["bytes"] == 2 + 5 + 2 + 2, "the frames of a message and of the close"

    run(scenario())


def test_a_websocket_that_is_denied_is_one_line(path: Path) -> None:
    async def denies(_scope: Message, receive: Receive, send: Send) -> None:
        await receive()
        await send({"type": "websocket.close"})

    async def scenario() -> None:
        async with serving(denies, access_log=str(path), access_log_format="json") as served:
            client = await served.connect()
            client.send(handshake())
            assert (await client.response()).status == 403
            (line,) = lines(served, path)
            assert (line["type"], line["status"], line["close_code"]) == ("websocket", 403, None)

    run(scenario())


def test_the_request_s_name_in_its_state_is_told(path: Path) -> None:
    async def named(scope: Message, _receive: Receive, send: Send) -> None:
        scope["state"]["request_id"] = "r-1"  # type: ignore[index]  # the state is a dict
        await reply(send, b"")

    async def scenario() -> None:
        async with serving(named, state={}, access_log=str(path), access_log_format="%L") as served:
            client = await served.connect()
            await client.get()
            served.server.sweep(served.server.now)
            assert path.read_text() == "r-1\n"

    run(scenario())


def test_a_failing_access_log_does_not_fail_requests() -> None:
    async def scenario() -> None:
        async with serving(reflect, access_log="/dev/full") as served:
            client = await served.connect()
            assert (await client.get(GET)).status == 200
            served.server.sweep(served.server.now)
            assert (await client.get(GET)).status == 200

    run(scenario())
