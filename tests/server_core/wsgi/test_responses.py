"""What an application may answer, and what becomes of what it may not."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.helpers.http import DEADLINE_S, parse_responses
from tests.helpers.wsgi import THREADS, Client, Environ, Start, ask, request, serving

pytestmark = pytest.mark.parametrize("threads", THREADS)
PLAIN = ("Content-Type", "text/plain")


class Parts:
    """An iterable that says when it is closed, and may fail at a part."""

    def __init__(self, *parts: bytes | Exception) -> None:
        self._parts = iter(parts)
        self.closed = threading.Event()

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        part = next(self._parts)
        if isinstance(part, Exception):
            raise part
        return part

    def close(self) -> None:
        assert not self.closed.is_set()
        self.closed.set()


def answering(parts: object, *fields: tuple[str, str], status: str = "200 OK") -> object:
    def app(_environ: Environ, start_response: Start) -> object:
        start_response(status, [PLAIN, *fields])
        return parts

    return app


def test_a_reason_phrase_is_the_applications(threads: int) -> None:
    with serving(answering([b"x"], status="200 Fine by me"), threads=threads) as server, Client(server) as client:
        client.send(request())
        assert client.read_to(b"\r\n") == b"HTTP/1.1 200 Fine by me\r\n"


def test_what_is_the_connections_to_say_is_not_the_applications(threads: int) -> None:
    fields = [("Keep-Alive", "timeout=1"), ("proxy-connection", "close"), ("Upgrade", "h2c"), ("Content-Length", "0")]
    app = answering([], *fields, status="426 Upgrade Required")  # checked=False: wsgiref.validate knows no hop-by-hop
    with serving(app, checked=False, threads=threads) as server, Client(server) as client:
        client.send(request(fields=b"connection: close\r\n"))
        answer = client.rest().lower()
        assert b"keep-alive" not in answer
        assert b"proxy-connection" not in answer
        assert b"upgrade: h2c\r\n" in answer


def test_an_iterable_is_sent_part_by_part_and_closed(threads: int) -> None:
    parts = Parts(b"", b"a", b"", b"bc")
    with serving(answering(parts), threads=threads) as server, Client(server) as client:
        client.send(request(fields=b"connection: close\r\n"))
        assert client.rest().endswith(b"\r\n\r\n1\r\na\r\n2\r\nbc\r\n0\r\n\r\n")
        assert parts.closed.wait(DEADLINE_S)


def test_a_part_goes_out_before_the_next_is_made(threads: int) -> None:
    gate = threading.Event()

    def made() -> Iterator[bytes]:
        yield b"first"
        assert gate.wait(DEADLINE_S)
        yield b"second"

    with serving(answering(made()), checked=False, threads=threads) as server, Client(server) as client:
        client.send(request(fields=b"connection: close\r\n"))
        client.read_to(b"first\r\n")
        gate.set()
        assert client.rest() == b"6\r\nsecond\r\n0\r\n\r\n"


def test_a_counted_response_is_complete_before_the_iterable_is(threads: int) -> None:
    if threads == 1:
        pytest.skip("there nothing happens beside the application")
    gate = threading.Event()

    def made() -> Iterator[bytes]:
        yield b"all"
        assert gate.wait(DEADLINE_S)

    sites = {"/": answering(made(), ("Content-Length", "3")), "/next": answering([b"next"])}

    def app(environ: Environ, start_response: Start) -> object:
        return sites[str(environ["PATH_INFO"])](environ, start_response)  # type: ignore[operator]  # applications

    with serving(app, threads=threads) as server, Client(server) as client:
        client.send(request())
        client.read_to(b"all")
        client.send(request(path="/next"))
        client.read_to(b"next")
        gate.set()


def test_write_and_the_iterable_are_one_body(threads: int) -> None:
    def app(_environ: Environ, start_response: Start) -> list[bytes]:
        write = start_response("200 OK", [PLAIN])
        write(b"a")
        write(b"b")
        return [b"c"]

    with serving(app, threads=threads) as server:
        assert ask(server, request()).body == b"abc"


@pytest.mark.parametrize("length", [None, "4"])
def test_head_has_the_fields_and_no_body(threads: int, length: str | None) -> None:
    fields = () if length is None else (("Content-Length", length),)
    with serving(answering([b"body"], *fields), threads=threads) as server:
        response = ask(server, request("HEAD"), to_head=True)
        assert (response.status, response.body) == (200, b"")
        assert response.headers.get("content-length") == length


@pytest.mark.parametrize("status", ["204 No Content", "304 Not Modified"])
def test_a_status_without_a_body_has_none(threads: int, status: str) -> None:
    def app(_environ: Environ, start_response: Start) -> list[bytes]:
        start_response(status, [])
        return [b""]

    with serving(app, threads=threads) as server, Client(server) as client:
        client.send(request() + request(fields=b"connection: close\r\n"))
        first, second = parse_responses(client.rest())
        assert first.status == second.status == int(status[:3])
        assert first.body == b""


@pytest.mark.parametrize("raises", [[ValueError("at once")], [b"", ValueError("at the first part")]])
def test_an_error_before_the_first_part_is_a_500(threads: int, raises: list[bytes | Exception]) -> None:
    parts = Parts(*raises)
    with serving(answering(parts, ("X-First", "1")), threads=threads) as server:
        response = ask(server, request())
        assert response.status == 500
        assert "x-first" not in response.headers
        assert parts.closed.wait(DEADLINE_S)


def test_an_error_behind_it_cuts_the_response(threads: int) -> None:
    with serving(answering(Parts(b"part", ValueError("late"))), threads=threads) as server:
        response = ask(server, request())
        assert (response.status, response.is_whole) == (200, False)


def test_exc_info_replaces_a_head_that_has_not_left(threads: int) -> None:
    def app(_environ: Environ, start_response: Start) -> list[bytes]:
        start_response("200 OK", [PLAIN, ("X-First", "1")])
        try:
            raise ValueError("late")
        except ValueError:
            start_response("500 Oops", [PLAIN, ("X-Second", "2")], sys.exc_info())
        return [b"error page"]

    with serving(app, threads=threads) as server:
        response = ask(server, request())
        assert (response.status, response.body) == (500, b"error page")
        assert "x-first" not in response.headers
        assert response.headers["x-second"] == "2"


def test_exc_info_is_raised_behind_one_that_has(threads: int) -> None:
    raised: list[str] = []

    def app(_environ: Environ, start_response: Start) -> Iterator[bytes]:
        start_response("200 OK", [PLAIN])
        yield b"part"
        try:
            raise ValueError("late")
        except ValueError:
            try:
                start_response("500 Oops", [PLAIN], sys.exc_info())
            except ValueError as error:
                raised.append(str(error))
                raise

    with serving(app, threads=threads) as server:
        assert not ask(server, request()).is_whole
    assert raised == ["late"]


def test_start_response_without_exc_info_is_once(threads: int) -> None:
    def app(_environ: Environ, start_response: Start) -> list[bytes]:
        start_response("200 OK", [PLAIN])
        start_response("200 OK", [PLAIN])
        return [b"x"]

    with serving(app, checked=False, threads=threads) as server:
        assert ask(server, request()).status == 500


@pytest.mark.parametrize(
    ("status", "fields", "parts"),
    [
        ("200 OK\r\nX-Evil: 1", [], [b"x"]),
        ("200 OK", [("X-Evil\r\nX", "1")], [b"x"]),
        ("200 OK", [("X", "1\r\nX-Evil: 1")], [b"x"]),
        ("200 OK", [("X", "\u20ac")], [b"x"]),
        ("199 Early", [], [b"x"]),
        (200, [], [b"x"]),
        ("200 OK", [("X", 1)], [b"x"]),
        ("200 OK", [], ["text"]),
        ("200 OK", [("Content-Length", "1")], [b"long"]),
        ("200 OK", [("Content-Length", "9")], [b"short"]),
        ("200 OK", [("Content-Length", "many")], [b"x"]),
    ],
)
def test_what_may_not_go_out_is_a_500(
    threads: int, status: object, fields: list[tuple[str, object]], parts: list[object]
) -> None:
    def app(_environ: Environ, start_response: Start) -> list[object]:
        start_response(status, fields)
        return parts

    with serving(app, checked=False, threads=threads) as server:
        with Client(server) as client:
            client.send(request(fields=b"connection: close\r\n"))
            data = client.rest()
        assert data.startswith(b"HTTP/1.1 500 ")
        assert b"evil" not in data.lower()


def test_no_start_response_is_a_500(threads: int) -> None:
    with serving(lambda _environ, _start: [b"x"], checked=False, threads=threads) as server:
        assert ask(server, request()).status == 500


def test_a_body_longer_than_its_length_is_cut_at_the_length(threads: int) -> None:
    with serving(answering(Parts(b"1234", b"5"), ("Content-Length", "4")), threads=threads) as server:
        response = ask(server, request())
        assert (response.status, response.body, response.is_whole) == (200, b"1234", True)


def test_sys_exit_in_a_request_is_that_requests_500(threads: int) -> None:
    def app(environ: Environ, start_response: Start) -> list[bytes]:
        if environ["PATH_INFO"] == "/exit":
            sys.exit(3)
        start_response("200 OK", [PLAIN])
        return [b"on"]

    with serving(app, threads=threads) as server:
        assert ask(server, request(path="/exit")).status == 500
        assert ask(server, request()).body == b"on"


def with_file(path: Path, *fields: tuple[str, str], start: int = 0) -> object:
    def app(environ: Environ, start_response: Start) -> object:
        file = path.open("rb")
        file.seek(start)
        start_response("200 OK", [PLAIN, *fields])
        return environ["wsgi.file_wrapper"](file)  # type: ignore[operator]  # a class

    return app


@pytest.mark.parametrize("size", [0, 1, 5_000_000])
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_a_file_is_sent_by_the_kernel(threads: int, size: int, method: str, tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(bytes(range(256)) * (size // 256) + b"x" * (size % 256))
    with serving(with_file(path), checked=False, threads=threads) as server:
        response = ask(server, request(method), to_head=method == "HEAD")
        assert response.headers["content-length"] == str(size)
        assert response.body == (path.read_bytes() if method == "GET" else b"")


def test_a_file_is_sent_from_its_position_and_no_further_than_the_length(threads: int, tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"0123456789")
    with serving(with_file(path, ("Content-Length", "3"), start=4), checked=False, threads=threads) as server:
        assert ask(server, request()).body == b"456"


def test_a_file_that_is_shorter_than_its_length_is_a_500(threads: int, tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"0123456789")
    with serving(with_file(path, ("Content-Length", "11")), checked=False, threads=threads) as server:
        assert ask(server, request()).status == 500


def test_a_slow_client_of_a_file_holds_no_thread(threads: int, tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"x" * 20_000_000)
    sites = {"/": with_file(path), "/quick": answering([b"quick"])}

    def app(environ: Environ, start_response: Start) -> object:
        return sites[str(environ["PATH_INFO"])](environ, start_response)  # type: ignore[operator]  # applications

    with serving(app, checked=False, threads=threads) as server:
        slow = [Client(server) for _ in range(5)]
        for client in slow:
            client.send(request(fields=b"connection: close\r\n"))
        assert ask(server, request(path="/quick")).body == b"quick"
        for client in slow[1:]:
            client.reset()
        with slow[0]:
            assert len(parse_responses(slow[0].rest())[0].body) == 20_000_000


def test_what_is_no_file_of_the_system_is_read(threads: int) -> None:
    closed: list[bool] = []

    class File(io.BytesIO):
        def close(self) -> None:
            closed.append(True)
            super().close()

    def app(environ: Environ, start_response: Start) -> object:
        start_response("200 OK", [PLAIN])
        return environ["wsgi.file_wrapper"](File(b"y" * 200_000), 4096)  # type: ignore[operator]  # a class

    with serving(app, checked=False, threads=threads) as server:
        assert ask(server, request()).body == b"y" * 200_000
        assert closed[:1] == [True]


def test_a_file_is_what_its_read_gives_and_not_what_its_descriptor_has(threads: int, tmp_path: Path) -> None:
    """Compressed files have the descriptor of what they decompress."""
    paths = {opener: tmp_path / opener.__module__ for opener in (gzip.open, bz2.open, lzma.open)}
    for opener, path in paths.items():
        with opener(path, "wb") as file:
            file.write(b"plain" * 1000)

    def app(environ: Environ, start_response: Start) -> object:
        start_response("200 OK", [PLAIN])
        opener = next(each for each in paths if each.__module__ == str(environ["PATH_INFO"])[1:])
        return environ["wsgi.file_wrapper"](opener(paths[opener], "rb"))  # type: ignore[operator]  # a class

    with serving(app, checked=False, threads=threads) as server:
        for opener in paths:
            assert ask(server, request(path=f"/{opener.__module__}")).body == b"plain" * 1000, opener


def test_a_temporary_file_is_sent_by_the_kernel(threads: int) -> None:
    def app(environ: Environ, start_response: Start) -> object:
        file = tempfile.NamedTemporaryFile() if environ["PATH_INFO"] == "/named" else tempfile.TemporaryFile()  # noqa: SIM115 - the server closes it
        file.write(b"0123456789")
        file.seek(4)
        start_response("200 OK", [PLAIN])
        return environ["wsgi.file_wrapper"](file)  # type: ignore[operator]  # a class

    with serving(app, checked=False, threads=threads) as server:
        for path in ("/named", "/"):
            response = ask(server, request(path=path))
            assert (response.headers["content-length"], response.body) == ("6", b"456789")


def test_early_hints_go_ahead_of_the_response(threads: int) -> None:
    def app(environ: Environ, start_response: Start) -> list[bytes]:
        environ["wsgi.early_hints"]([("Link", "</a.css>; rel=preload")])  # type: ignore[operator]  # a callable
        start_response("200 OK", [PLAIN])
        return [b"x"]

    with serving(app, threads=threads) as server, Client(server) as client:
        client.send(request(fields=b"connection: close\r\n"))
        hint, response = parse_responses(client.rest())
        assert (hint.status, hint.headers) == (103, {"link": "</a.css>; rel=preload"})
        assert response.body == b"x"
        with Client(server) as old:
            old.send(b"GET / HTTP/1.0\r\n\r\n")
            assert old.rest().startswith(b"HTTP/1.1 200 ")
