"""A WSGI application mounted in an ASGI one: the same input, response and ends, through ASGI's messages."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, MutableMapping
from pathlib import Path
from wsgiref.validate import validator

import pytest
from starlette.applications import Starlette
from starlette.routing import Mount

from server_core.wsgi import WSGIMiddleware
from tests.helpers.http import DEADLINE_S, GET, run, serving, until
from tests.helpers.wsgi import Environ, Start, chunked, request

PLAIN = ("Content-Type", "text/plain")
CLIENTS = 12


def mounted(app: object, threads: int = 3) -> Starlette:
    return Starlette(routes=[Mount("/site", WSGIMiddleware(app, threads))])  # type: ignore[arg-type]  # a WSGI application


def echo(environ: Environ, start_response: Start) -> list[bytes]:
    body = environ["wsgi.input"].read(-1)  # type: ignore[attr-defined]  # a file
    start_response("201 Created", [PLAIN, ("X-Where", f"{environ['SCRIPT_NAME']}|{environ['PATH_INFO']}")])
    return [body]


def told(environ: Environ, start_response: Start) -> list[bytes]:
    start_response("200 OK", [PLAIN])
    return [json.dumps({key: value for key, value in environ.items() if isinstance(value, str)}).encode()]


def test_it_is_given_its_place_and_the_body() -> None:
    async def scenario() -> None:
        async with serving(mounted(validator(echo))) as served:  # type: ignore[type-var]  # as above
            client = await served.connect()
            body = b"line\n" * 100_000
            for asked in (
                request("POST", "/site/a%20b", body=body),
                request("POST", "/site/a%20b", b"transfer-encoding: chunked\r\n") + chunked(body[:9], body[9:]),
            ):
                answer = await client.get(asked)
                assert (answer.status, answer.headers["x-where"], answer.body) == (201, "/site|/a b", body)

    run(scenario())


def test_its_environ_is_that_of_a_served_one() -> None:
    async def scenario() -> None:
        async with serving(mounted(told)) as served:
            environ = json.loads((await (await served.connect()).get(request(path="/site/%C3%A9?q=1"))).body)
            assert (environ["PATH_INFO"], environ["QUERY_STRING"]) == ("/\xc3\xa9", "q=1")
            assert environ["RAW_URI"] == "/site/%C3%A9?q=1"
            assert environ["REMOTE_ADDR"] == "127.0.0.1"
            assert (environ["SERVER_NAME"], environ["SERVER_PORT"]) == ("example.org", "80")

    run(scenario())


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
def test_clients_that_go_give_their_threads_back(loop: str) -> None:
    closed = threading.Semaphore(0)

    def endless() -> Iterator[bytes]:
        try:
            while True:
                yield b"part" * 1000
        finally:
            closed.release()

    def app(environ: Environ, start_response: Start) -> object:
        start_response("200 OK", [PLAIN])
        return [b"quick"] if environ["PATH_INFO"] == "/quick" else endless()

    async def scenario() -> None:
        async with serving(WSGIMiddlewareOfAnother(app)) as served:
            for _ in range(CLIENTS):
                client = await served.connect()
                client.send(GET)
                await client.reader.readuntil(b"part")
                client.reset()
                await until(lambda: closed.acquire(blocking=False))
            client = await served.connect()
            assert (await client.get(request(path="/quick"))).body == b"quick"
            assert not served.heard.all("request.failed")

    run(scenario(), loop=loop)


class WSGIMiddlewareOfAnother:
    """An ASGI application that calls one, as a framework does that knows nothing of it."""

    def __init__(self, app: object) -> None:
        self._app = WSGIMiddleware(app, 3)  # type: ignore[arg-type]  # a WSGI application

    async def __call__(self, scope: object, receive: object, send: object) -> None:
        await self._app(scope, receive, send)  # type: ignore[arg-type]  # ASGI's


def test_an_error_is_the_outer_applications() -> None:
    def app(environ: Environ, start_response: Start) -> list[bytes]:
        if environ["PATH_INFO"] == "/exit":
            raise SystemExit(3)
        start_response("200 OK", [PLAIN])
        raise ValueError("late")

    async def scenario() -> None:
        async with serving(WSGIMiddlewareOfAnother(app)) as served:
            client = await served.connect()
            assert (await client.get()).status == 500
            assert (await client.get(request(path="/exit"))).status == 500
            told = [str(facts["traceback"]) for facts in served.heard.all("request.failed")]
            assert "ValueError: late" in told[0]
            assert "the application raised SystemExit(3)" in told[1]

    run(scenario())


def test_requests_run_at_once_up_to_the_threads() -> None:
    begun, gate = threading.Semaphore(0), threading.Event()

    def app(_environ: Environ, start_response: Start) -> list[bytes]:
        begun.release()
        assert gate.wait(DEADLINE_S)
        start_response("200 OK", [PLAIN])
        return [b"done"]

    async def scenario() -> None:
        async with serving(mounted(app, threads=2)) as served:
            clients = [await served.connect() for _ in range(4)]
            for client in clients:
                client.send(request(path="/site/"))
            await until(lambda: begun.acquire(blocking=False))
            await until(lambda: begun.acquire(blocking=False))
            assert not begun.acquire(blocking=False)
            gate.set()
            for client in clients:
                assert (await client.response()).body == b"done"

    run(scenario())


def test_what_it_writes_to_wsgi_errors_is_in_the_servers_log() -> None:
    def app(environ: Environ, start_response: Start) -> list[bytes]:
        print("first", "second", file=environ["wsgi.errors"])  # type: ignore[call-overload]  # a file
        start_response("200 OK", [PLAIN])
        return [b"done"]

    async def scenario() -> None:
        async with serving(mounted(validator(app)), request_id="on", state={}) as served:  # type: ignore[type-var]  # a WSGI application
            client = await served.connect()
            assert (await client.get(request(path="/site/a"))).body == b"done"
            await until(lambda: served.heard.all("request.error_written"))  # once the thread has returned
            (told,) = served.heard.all("request.error_written")
            assert (told["text"], told["method"], told["path"]) == ("first second", "GET", "/site/a")
            assert told["request_id"]

    run(scenario())


def test_on_another_server_wsgi_errors_is_standard_error(capsys: pytest.CaptureFixture[str]) -> None:
    def app(environ: Environ, start_response: Start) -> list[bytes]:
        print("to whom it concerns", file=environ["wsgi.errors"])  # type: ignore[call-overload]  # a file
        start_response("200 OK", [PLAIN])
        return []

    async def receive() -> MutableMapping[str, object]:
        return {"type": "http.request"}

    async def send(_message: MutableMapping[str, object]) -> None:
        return

    scope = {"type": "http", "method": "GET", "path": "/", "query_string": b"", "headers": [], "http_version": "1.1"}
    run(WSGIMiddleware(app)(scope, receive, send))  # type: ignore[arg-type]  # a scope
    assert capsys.readouterr().err == "to whom it concerns\n"


def test_threads_of_a_loop_that_has_ended_end_too() -> None:
    threads: list[int] = []

    def note(_environ: Environ, start_response: Start) -> list[bytes]:
        threads.append(threading.get_native_id())
        start_response("204 No Content", [])
        return []

    app = mounted(note)

    async def scenario() -> None:
        async with serving(app) as served:  # type: ignore[type-var]  # as above
            assert (await (await served.connect()).get(request(path="/site/"))).status == 204
            await until(lambda: all(not Path(f"/proc/self/task/{thread}").exists() for thread in threads[:-1]))

    run(scenario())
    run(scenario())
    assert len(threads) == 2
