"""WSGI applications and clients that go, by both wrappers: iterables are closed, and threads given back."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from itertools import count

import pytest
from a2wsgi import WSGIMiddleware

from server_core.asgi import adapters
from server_core.asgi.http_exchange import Application
from tests.helpers.http import DEADLINE_S, GET, PARSERS, run, serving, until

pytest.importorskip("asgiref.wsgi")

LOOPS = ("asyncio", "uvloop")
CLIENTS = 12
"""More than the ten threads that a2wsgi has."""

Start = Callable[..., Callable[[bytes], object]]
Environ = dict[str, object]


@pytest.fixture(params=adapters.WSGI_WRAPPERS, ids=lambda wrapper: wrapper[0])
def wrapper(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> object:
    """Each of the wrappers as if it were the only one."""
    monkeypatch.setattr(adapters, "WSGI_WRAPPERS", (request.param,))
    return request.param


class Parts:
    """An iterable of as many parts, or without an end; counts how often it is closed."""

    def __init__(self, kept: list[Parts], number: int | None, gate: threading.Event | None = None) -> None:
        self._left: Iterator[int] = count() if number is None else iter(range(number))
        self._gate = gate
        self.is_first = True
        self.closed = 0
        kept.append(self)

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        if self._gate is not None and not self.is_first:
            assert self._gate.wait(DEADLINE_S)
        self.is_first = False
        next(self._left)
        return b"part"

    def close(self) -> None:
        self.closed += 1


class Site:
    """Answers / with a stream, anything else at once."""

    def __init__(self, number: int | None, gate: threading.Event | None = None) -> None:
        self.streams: list[Parts] = []
        self.number, self.gate = number, gate

    def __call__(self, environ: Environ, start_response: Start) -> object:
        start_response("200 OK", [("content-type", "text/plain")])
        return Parts(self.streams, self.number, self.gate) if environ["PATH_INFO"] == "/" else [b"quick"]


async def leave_and_ask(app: Application, site: Site) -> None:
    async with serving(app) as served:
        for _ in range(CLIENTS):
            client = await served.connect()
            client.send(GET)
            if site.gate is None or len(site.streams) < CLIENTS - 2:
                await client.reader.readuntil(b"part")
            client.reset()
        if site.gate is not None:
            await until(lambda: not served.server.connections)
            site.gate.set()
        await until(lambda: not served.server.background and not served.server.connections)
        assert [stream.closed for stream in site.streams] == [1] * CLIENTS
        client = await served.connect()
        assert (await client.get(GET.replace(b"/ ", b"/quick "))).body == b"quick"
        assert not served.heard.all("request.failed")


@pytest.mark.usefixtures("wrapper")
@pytest.mark.parametrize("loop", LOOPS)
def test_endless_iterables_end_with_their_clients(loop: str) -> None:
    site = Site(None)
    run(leave_and_ask(adapters.adapt(site, "site", "wsgi"), site), loop=loop)


def test_iterables_of_a_mount_are_run_to_their_ends_and_closed() -> None:
    """Not by our adapter, so that only what send() does for a client that has gone is at work."""
    site = Site(60, threading.Event())
    run(leave_and_ask(WSGIMiddleware(site, workers=CLIENTS), site))  # type: ignore[arg-type]  # ASGI all the same


@pytest.mark.usefixtures("wrapper")
@pytest.mark.parametrize("length", [None, "12"])
def test_an_iterable_is_closed_once_behind_a_whole_response(length: str | None) -> None:
    streams: list[Parts] = []

    def site(_environ: Environ, start_response: Start) -> Parts:
        start_response("200 OK", [] if length is None else [("content-length", length)])
        return Parts(streams, 3)

    async def scenario() -> None:
        async with serving(adapters.adapt(site, "site", "wsgi")) as served:
            client = await served.connect()
            for number in range(1, 4):
                assert (await client.get()).body == b"partpartpart"
                await until(lambda: not served.server.in_flight())
                assert [stream.closed for stream in streams] == [1] * number
            assert not served.heard.all("request.failed")

    run(scenario())


@pytest.mark.parametrize("http", PARSERS)
def test_half_an_upload_is_no_upload(wrapper: tuple[str, str], http: str) -> None:
    raised: list[BaseException] = []
    read: list[bytes] = []
    begun = threading.Event()

    def site(environ: Environ, start_response: Start) -> list[bytes]:
        begun.set()
        try:
            read.append(environ["wsgi.input"].read())  # type: ignore[attr-defined]  # a file
        except OSError as error:
            raised.append(error)
            raise
        start_response("200 OK", [])
        return [b""]

    async def scenario() -> None:
        async with serving(adapters.adapt(site, "site", "wsgi"), http=http) as served:
            client = await served.connect()
            client.send(b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 10\r\n\r\nhalf")
            await until(served.server.in_flight)
            if wrapper[0] == "a2wsgi":  # asgiref reads it all before it calls the application
                await until(begun.is_set)
            client.reset()
            await until(lambda: not served.server.connections and not served.server.background)
            assert read == []
            assert len(raised) == (wrapper[0] == "a2wsgi")
            assert not served.heard.all("request.failed")

    run(scenario())


def test_write_raises_when_the_client_has_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(adapters, "WSGI_WRAPPERS", adapters.WSGI_WRAPPERS[:1])  # asgiref's start_response has no write
    raised: list[BaseException] = []

    def site(_environ: Environ, start_response: Start) -> list[bytes]:
        write = start_response("200 OK", [])
        try:
            while True:
                write(b"part")
        except OSError as error:
            raised.append(error)
            raise

    async def scenario() -> None:
        async with serving(adapters.adapt(site, "site", "wsgi")) as served:
            client = await served.connect()
            client.send(GET)
            await client.reader.readuntil(b"part")
            client.reset()
            await until(lambda: not served.server.connections and not served.server.background)
            assert len(raised) == 1
            assert not served.heard.all("request.failed")

    run(scenario())
