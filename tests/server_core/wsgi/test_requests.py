"""What an application is given: the environ, and the body by every way that a client may send it."""

from __future__ import annotations

import asyncio
import json
import socket
from pathlib import Path

import pytest

import server_core
from tests.helpers.http import DEADLINE_S, parse_responses
from tests.helpers.wsgi import THREADS, Client, Environ, Start, ask, chunked, request, serving

pytestmark = pytest.mark.parametrize("threads", THREADS)


def told(environ: Environ, start_response: Start) -> list[bytes]:
    text = json.dumps({key: value for key, value in environ.items() if isinstance(value, (str, bool))})
    start_response("200 OK", [("Content-Type", "application/json")])
    return [text.encode()]


def echo(environ: Environ, start_response: Start) -> list[bytes]:
    """By the way that the path names."""
    body = environ["wsgi.input"]
    way = str(environ["PATH_INFO"])
    if way == "/lines":
        data = b"".join(iter(body.readline, b""))  # type: ignore[attr-defined]  # a file
    elif way == "/iteration":
        data = b"".join(body)  # type: ignore[call-overload]  # as above
    else:
        data = b"".join(iter(lambda: body.read(4096), b""))  # type: ignore[attr-defined]  # as above
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [data]


def test_the_environ_is_pep_3333s(threads: int) -> None:
    with serving(told, threads=threads, root_path="/site") as server:
        fields = (
            b"x-twice: 1\r\nx-twice: 2\r\ncookie: a=1\r\ncookie: b=2\r\nproxy: http://evil\r\nremote-user: root\r\n"
        )
        environ = json.loads(ask(server, request(path="/caf%C3%A9/%2F?q=%20", fields=fields)).body)
    assert environ["SCRIPT_NAME"] == "/site"
    assert environ["PATH_INFO"] == "/caf\xc3\xa9//"
    assert environ["QUERY_STRING"] == "q=%20"
    assert environ["RAW_URI"] == environ["REQUEST_URI"] == "/caf%C3%A9/%2F?q=%20"
    assert (environ["SERVER_NAME"], environ["SERVER_PORT"]) == ("example.org", "80")
    assert environ["REMOTE_ADDR"] == "127.0.0.1"
    assert int(environ["REMOTE_PORT"]) > 0
    assert environ["HTTP_X_TWICE"] == "1,2"
    assert environ["HTTP_COOKIE"] == "a=1; b=2"
    assert "HTTP_PROXY" not in environ
    assert "REMOTE_USER" not in environ
    assert environ["wsgi.url_scheme"] == "http"
    assert environ["wsgi.multithread"] is (threads > 1)
    assert environ["wsgi.multiprocess"] is False, "nothing supervises this"
    assert environ["wsgi.input_terminated"] is True


def test_a_trusted_proxy_tells_scheme_client_and_host(threads: int) -> None:
    fields = b"x-forwarded-proto: https\r\nx-forwarded-for: 192.0.2.7\r\nx-forwarded-host: shop.example:8443\r\n"
    believed = "x-forwarded-for,x-forwarded-proto,x-forwarded-host"
    with serving(told, threads=threads, forwarded_headers=believed, request_id="X-Request-ID") as server:
        environ = json.loads(ask(server, request(fields=fields + b"x-request-id: abc\r\n")).body)
    assert environ["wsgi.url_scheme"] == "https"
    assert environ["REMOTE_ADDR"] == "192.0.2.7"
    assert (environ["SERVER_NAME"], environ["SERVER_PORT"]) == ("shop.example", "8443")
    assert environ["supervisor_d.request_id"] == "abc"


def test_a_client_of_a_unix_socket_has_an_empty_address(threads: int, tmp_path: Path) -> None:
    with (
        server_core.serve(told, bind=f"unix:{tmp_path}/s", interface="wsgi", threads=threads),
        socket.socket(socket.AF_UNIX) as client,
    ):
        client.settimeout(DEADLINE_S)
        client.connect(f"{tmp_path}/s")
        client.sendall(request(fields=b"connection: close\r\n"))
        environ = json.loads(parse_responses(b"".join(iter(lambda: client.recv(65536), b"")))[0].body)
    assert environ["REMOTE_ADDR"] == ""


@pytest.mark.parametrize("way", ["/sizes", "/lines", "/iteration"])
def test_a_body_is_whole_however_it_is_sent_and_read(threads: int, way: str) -> None:
    """A multipart upload of 4,800,000 bytes, lines of every length in it."""
    body = b"".join(b"x" * (number % 5000) + b"\n" for number in range(1920))[:4_800_000]
    with serving(echo, threads=threads) as server:
        assert ask(server, request("POST", way, body=body)).body == body
        parts = [body[start : start + 70_001] for start in range(0, len(body), 70_001)]
        assert ask(server, request("POST", way, b"transfer-encoding: chunked\r\n") + chunked(*parts)).body == body
        assert ask(server, request("POST", way, b"transfer-encoding: chunked\r\n") + chunked()).body == b""


def test_100_continue_is_said_at_the_first_read(threads: int) -> None:
    with serving(echo, threads=threads) as server, Client(server) as client:
        client.send(request("POST", fields=b"expect: 100-continue\r\ncontent-length: 4\r\nconnection: close\r\n"))
        assert client.read_to(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        client.send(b"body")
        assert client.rest().endswith(b"\r\n\r\n4\r\nbody\r\n0\r\n\r\n")


def test_a_body_that_nobody_reads_is_not_asked_for(threads: int) -> None:
    with serving(told, threads=threads) as server, Client(server) as client:
        client.send(request("POST", fields=b"expect: 100-continue\r\ncontent-length: 4\r\n"))
        assert client.rest().startswith(b"HTTP/1.1 200 OK\r\n")


def test_half_an_upload_is_no_upload(threads: int) -> None:
    heard: list[object] = []

    def app(environ: Environ, start_response: Start) -> list[bytes]:
        try:
            heard.append(environ["wsgi.input"].read(10))  # type: ignore[attr-defined]  # a file
        except OSError as error:
            heard.append(type(error).__name__)
            raise
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [b"whole"]

    with serving(app, threads=threads) as server:
        with Client(server) as client:
            client.send(request("POST", fields=b"expect: 100-continue\r\ncontent-length: 10\r\n"))
            client.read_to(b"\r\n\r\n")
            client.send(b"half")
            client.reset()
        assert ask(server, request("POST", body=b"0123456789")).body == b"whole"
    assert sorted(map(str, heard)) == ["ClientDisconnected", "b'0123456789'"]


def test_a_body_that_does_not_come_is_a_408(threads: int) -> None:
    with serving(echo, threads=threads, body_timeout=0.1) as server, Client(server) as client:
        client.send(request("POST", fields=b"expect: 100-continue\r\ncontent-length: 10\r\n"))
        client.read_to(b"\r\n\r\n")
        assert client.rest().startswith(b"HTTP/1.1 408 ")
        assert ask(server, request("POST", body=b"next")).body == b"next"


def test_a_body_beyond_the_limit_is_a_413(threads: int) -> None:
    with serving(echo, threads=threads, limit_body=100) as server:
        assert ask(server, request("POST", body=b"x" * 101)).status == 413
        assert (
            ask(server, request("POST", fields=b"transfer-encoding: chunked\r\n") + chunked(b"x" * 101)).status == 413
        )
        assert ask(server, request("POST", body=b"x" * 100)).status == 200


def test_an_application_may_run_coroutines(threads: int) -> None:
    """As `async def` views of Flask and Django do, in whichever thread they are called."""

    async def answer() -> bytes:
        return type(asyncio.get_running_loop()).__name__.encode()

    def app(_environ: Environ, start_response: Start) -> list[bytes]:
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [asyncio.run(answer())]

    with serving(app, threads=threads) as server:
        for _ in range(2):
            assert b"Loop" in ask(server, request()).body
        assert b"Loop" in ask(server, request("POST", body=b"b" * 300_000)).body
