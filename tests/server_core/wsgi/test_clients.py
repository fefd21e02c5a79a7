"""Clients that go at every point, that are slow, and that keep their connections: no thread is lost to one."""

from __future__ import annotations

import queue
import socket
import threading
from collections.abc import Iterator

import pytest

from server_core.standalone.embedded import EmbeddedServer
from tests.helpers.http import DEADLINE_S, parse_responses
from tests.helpers.wsgi import THREADS, Client, Environ, Start, ask, request, serving

PLAIN = ("Content-Type", "text/plain")
CLIENTS = 12
"""More than there are threads."""


class Site:
    """Answers / with parts that have no end, /read with a body, anything else at once."""

    def __init__(self) -> None:
        self.closed = threading.Semaphore(0)
        self.raised = threading.Semaphore(0)

    def __call__(self, environ: Environ, start_response: Start) -> object:
        path = environ["PATH_INFO"]
        if path == "/read":
            try:
                environ["wsgi.input"].read(10)  # type: ignore[attr-defined]  # a file
            except OSError:
                self.raised.release()
                raise
        if path == "/write":
            write = start_response("200 OK", [PLAIN])
            try:
                while True:
                    write(b"part" * 1000)
            except OSError:
                self.raised.release()
                raise
        start_response("200 OK", [PLAIN])
        return self.endless() if path == "/" else [b"quick"]

    def endless(self) -> Iterator[bytes]:
        try:
            while True:
                yield b"part" * 1000
        finally:
            self.closed.release()


@pytest.mark.parametrize("threads", THREADS)
def test_clients_that_go_give_their_threads_back(threads: int, capfd: pytest.CaptureFixture[str]) -> None:
    site = Site()
    with serving(site, checked=False, threads=threads) as server:
        for _ in range(CLIENTS):
            with Client(server) as client:
                client.send(request())
                client.read_to(b"part")
                client.reset()
            assert site.closed.acquire(timeout=DEADLINE_S), "the iterable was not closed"
            with Client(server) as client:
                client.send(request(path="/write"))
                client.read_to(b"part")
                client.reset()
            assert site.raised.acquire(timeout=DEADLINE_S), "write() did not raise"
            with Client(server) as client:
                client.send(request("POST", "/read", b"expect: 100-continue\r\ncontent-length: 10\r\n"))
                client.read_to(b"\r\n\r\n")
                client.reset()
            assert site.raised.acquire(timeout=DEADLINE_S), "read() did not raise"
        assert ask(server, request(path="/quick")).body == b"quick"
    assert "request.failed" not in capfd.readouterr().err, "that a client goes is no failure of the application"


@pytest.mark.parametrize("threads", THREADS)
@pytest.mark.parametrize(
    "data",
    [
        pytest.param(request("POST", "/read", b"content-length: 10\r\n") + b"part", id="body"),
        pytest.param(request("POST", "/read", b"content-length: 100000\r\n") + b"part", id="large-body"),
        pytest.param(request("POST", "/read", b"content-length: 10\r\n"), id="head"),
        pytest.param(request("POST", "/read", b"transfer-encoding: chunked\r\n") + b"XX\r\n", id="no-chunk"),
    ],
)
def test_a_request_whose_body_never_comes_is_not_in_flight_for_ever(threads: int, data: bytes) -> None:
    """A drain would wait for it until graceful-timeout, which is longer here than the test waits for the drain."""
    served: queue.Queue[EmbeddedServer] = queue.Queue()
    is_tried = threading.Event()

    def live() -> None:
        with serving(Site(), checked=False, threads=threads, graceful_timeout=10 * DEADLINE_S) as server:
            served.put(server)
            is_tried.wait(DEADLINE_S)

    life = threading.Thread(target=live, daemon=True)
    life.start()
    server = served.get(timeout=DEADLINE_S)
    for go in (Client.reset, lambda client: client.sock.close()):
        client = Client(server)
        client.send(data)
        assert ask(server, request(path="/quick")).body == b"quick"  # the one before has been read by then
        go(client)
    is_tried.set()
    life.join(DEADLINE_S)
    assert not life.is_alive(), "a request without a client is in flight"


def test_clients_that_read_slowly_hold_no_thread_for_what_fits_the_buffers() -> None:
    """As many as would take every thread several times over, and each is sent what the kernel and the server keep."""

    def app(environ: Environ, start_response: Start) -> list[bytes]:
        start_response("200 OK", [PLAIN])
        return [b"x" * 8_000_000] if environ["PATH_INFO"] == "/" else [b"quick"]

    with serving(app, checked=False, threads=2) as server:
        slow = [Client(server) for _ in range(CLIENTS)]
        for client in slow:
            client.send(request(fields=b"connection: close\r\n"))
        assert ask(server, request(path="/quick")).body == b"quick"
        for client in slow:
            with client:
                assert len(parse_responses(client.rest())[0].body) == 8_000_000


def test_a_client_that_uploads_slowly_holds_no_thread() -> None:
    def app(environ: Environ, start_response: Start) -> list[bytes]:
        body = environ["wsgi.input"].read()  # type: ignore[attr-defined]  # a file
        start_response("200 OK", [PLAIN])
        return [body]

    for threads in THREADS:
        with serving(app, checked=False, threads=threads) as server:
            slow = [Client(server) for _ in range(CLIENTS)]
            for client in slow:
                client.send(request("POST", fields=b"content-length: 2\r\nconnection: close\r\n") + b"a")
            assert ask(server, request("POST", body=b"quick")).body == b"quick"
            for client in slow:
                with client:
                    client.send(b"b")
                    assert parse_responses(client.rest())[0].body == b"ab"


@pytest.mark.parametrize("threads", THREADS)
def test_kept_alive_connections_are_served_at_once_and_nothing_is_lost(threads: int) -> None:
    def app(environ: Environ, start_response: Start) -> list[bytes]:
        body = str(environ["PATH_INFO"]).encode()
        start_response("200 OK", [PLAIN, ("Content-Length", str(len(body)))])
        return [body]

    failures: list[object] = []

    def talk(client: Client, name: int) -> None:
        try:
            for number in range(100):
                client.send(request(path=f"/{name}/{number}"))
                client.read_to(b"\r\n\r\n" + f"/{name}/{number}".encode())
        except BaseException as error:  # noqa: BLE001 - told by the test
            failures.append(error)

    with serving(app, checked=False, threads=threads) as server:
        clients = [Client(server) for _ in range(CLIENTS)]
        talks = [threading.Thread(target=talk, args=(client, name)) for name, client in enumerate(clients)]
        for thread in talks:
            thread.start()
        for thread, client in zip(talks, clients, strict=True):
            thread.join(DEADLINE_S)
            client.sock.close()
    assert failures == []


@pytest.mark.parametrize("threads", THREADS)
def test_pipelined_requests_are_answered_in_order(threads: int) -> None:
    def app(environ: Environ, start_response: Start) -> list[bytes]:
        start_response("200 OK", [PLAIN])
        return [str(environ["PATH_INFO"]).encode()]

    with serving(app, threads=threads) as server, Client(server) as client:
        paths = [f"/{number}" for number in range(40)]
        client.send(b"".join(request(path=path) for path in paths) + request(fields=b"connection: close\r\n"))
        assert [answer.body.decode() for answer in parse_responses(client.rest())] == [*paths, "/"]


@pytest.mark.parametrize("threads", THREADS)
def test_a_client_that_closes_its_half_is_answered(threads: int) -> None:
    with serving(Site(), checked=False, threads=threads) as server, Client(server) as client:
        client.send(request(path="/quick"))
        client.sock.shutdown(socket.SHUT_WR)
        assert parse_responses(client.rest())[0].body == b"quick"
