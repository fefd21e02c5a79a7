"""What PEP 3333 says of a response's head and of the environ, by both wrappers, with the real server."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterator

import pytest

from server_core.asgi import adapters
from tests.helpers.http import DEADLINE_S, GET, PARSERS, run, serving, until

pytest.importorskip("asgiref.wsgi")

Start = Callable[..., Callable[[bytes], object]]
Environ = dict[str, object]
HEAD = GET.replace(b"GET", b"HEAD")


@pytest.fixture(params=adapters.WSGI_WRAPPERS, ids=lambda wrapper: wrapper[0])
def wrapper(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> object:
    """Each of the wrappers as if it were the only one."""
    monkeypatch.setattr(adapters, "WSGI_WRAPPERS", (request.param,))
    return request.param


class Turns:
    """Holds the application's thread until the event loop has had more turns than a head is held for."""

    def __init__(self) -> None:
        self.begun, self._gate = threading.Event(), threading.Event()

    def wait(self) -> None:
        self.begun.set()
        assert self._gate.wait(DEADLINE_S)

    async def give(self) -> None:
        await until(self.begun.is_set)
        turns = iter(range(20))
        await until(lambda: next(turns, None) is None)
        self._gate.set()


def raises_late(turns: Turns) -> Callable[[Environ, Start], object]:
    """An error of the application itself, after it has called start_response()."""

    def site(_environ: Environ, start_response: Start) -> object:
        start_response("200 OK", [("x-first", "1")])
        turns.wait()
        raise ValueError("late")

    return site


def raises_at_the_first_part(turns: Turns) -> Callable[[Environ, Start], object]:
    """What a streamed response of Flask does whose generator fails at its beginning."""

    def parts() -> Iterator[bytes]:
        yield b""
        turns.wait()
        raise ValueError("late")

    def site(_environ: Environ, start_response: Start) -> object:
        start_response("200 OK", [("x-first", "1")])
        return parts()

    return site


@pytest.mark.usefixtures("wrapper")
@pytest.mark.parametrize("http", PARSERS)
@pytest.mark.parametrize("request_bytes", [GET, HEAD], ids=["GET", "HEAD"])
@pytest.mark.parametrize("make", [raises_late, raises_at_the_first_part])
def test_an_error_before_the_first_part_is_a_500(
    make: Callable[[Turns], Callable[[Environ, Start], object]], request_bytes: bytes, http: str
) -> None:
    turns = Turns()

    async def scenario() -> None:
        async with serving(adapters.adapt(make(turns), "site", "wsgi"), http=http) as served:
            client = await served.connect()
            client.send(request_bytes)
            await turns.give()
            head = await client.reader.readuntil(b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 500 ")
            assert b"x-first" not in head
            assert len(served.heard.all("request.failed")) == 1

    run(scenario())


@pytest.mark.usefixtures("wrapper")
def test_a_head_is_replaced_until_it_has_left() -> None:
    turns = Turns()

    def site(_environ: Environ, start_response: Start) -> list[bytes]:
        start_response("200 OK", [("x-first", "1")])
        turns.wait()
        try:
            raise ValueError("late")
        except ValueError:
            start_response("503 Oops", [("x-second", "2")], sys.exc_info())
        return [b"error page"]

    async def scenario() -> None:
        async with serving(adapters.adapt(site, "site", "wsgi")) as served:
            client = await served.connect()
            client.send(GET)
            await turns.give()
            head = await client.reader.readuntil(b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 503 ")
            assert b"x-first" not in head
            assert b"x-second: 2" in head
            await client.reader.readuntil(b"error page")
            await until(lambda: not served.server.in_flight())
            assert not served.heard.all("request.failed")

    run(scenario())


@pytest.mark.usefixtures("wrapper")
def test_a_head_that_has_left_is_not_replaced() -> None:
    raised: list[BaseException] = []

    def site(_environ: Environ, start_response: Start) -> Iterator[bytes]:
        start_response("200 OK", [])
        yield b"part"
        error = ValueError("in the middle")
        try:
            start_response("500 Oops", [], (ValueError, error, None))
        except ValueError as again:
            raised.append(again)
            raise

    async def scenario() -> None:
        async with serving(adapters.adapt(site, "site", "wsgi")) as served:
            client = await served.connect()
            client.send(GET)
            answer = await client.reader.read()
            assert answer.startswith(b"HTTP/1.1 200 ")
            assert not answer.endswith(b"0\r\n\r\n")
            assert [str(error) for error in raised] == ["in the middle"]

    run(scenario())


@pytest.mark.usefixtures("wrapper")
@pytest.mark.parametrize(
    ("site", "told"),
    [
        (lambda _environ, start: [start("200 OK", []), start("201 Created", [])] and [b"x"], "without exc_info"),
        (lambda _environ, _start: [b"x"], "before it called start_response"),
        (lambda _environ, _start: [], "before it called start_response"),
    ],
    ids=["started twice", "not started", "not started, empty"],
)
def test_what_breaks_the_rules_is_a_500_that_says_which(site: Callable[..., object], told: str) -> None:
    async def scenario() -> None:
        async with serving(adapters.adapt(site, "site", "wsgi")) as served:
            client = await served.connect()
            assert (await client.get()).status == 500
            (failed,) = served.heard.all("request.failed")
            assert told in str(failed)

    run(scenario())


@pytest.mark.usefixtures("wrapper")
@pytest.mark.parametrize("http", PARSERS)
def test_the_environ_says_that_the_input_ends_with_the_body(http: str) -> None:
    """Without it werkzeug and others take a chunked body, whose length they do not know, for none."""
    reads: list[bytes] = []

    def site(environ: Environ, start_response: Start) -> list[bytes]:
        assert environ["wsgi.input_terminated"] is True
        assert environ["wsgi.errors"] is sys.stderr
        reads.extend(iter(environ["wsgi.input"].read, b""))  # type: ignore[attr-defined]  # a file
        start_response("200 OK", [])
        return [b"done"]

    async def scenario() -> None:
        async with serving(adapters.adapt(site, "site", "wsgi"), http=http) as served:
            client = await served.connect()
            for framing, body in (
                (b"transfer-encoding: chunked", b"3\r\nabc\r\n3\r\ndef\r\n0\r\n\r\n"),
                (b"content-length: 6", b"abcdef"),
            ):
                reads.clear()
                assert (
                    await client.get(b"POST / HTTP/1.1\r\nhost: x\r\n" + framing + b"\r\n\r\n" + body)
                ).body == b"done"
                assert b"".join(reads) == b"abcdef"
            assert not served.heard.all("request.failed")

    run(scenario())
