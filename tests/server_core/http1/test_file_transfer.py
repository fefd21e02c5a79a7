"""Files as bodies (http.response.pathsend and zerocopysend): by the kernel, through TLS, and read if small."""

# ruff: noqa: ARG001 - an ASGI application takes three arguments, whether it needs them or not

from __future__ import annotations

import asyncio
import errno
import io
import os
import random
import ssl
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path

import pytest

from server_core.asgi.http_exchange import Application, Message, Receive, Send
from server_core.transport import socket_transport
from tests.helpers.certificates import authority, localhost
from tests.helpers.http import GET, Client, Response, Served, reply, run, serving, until

START: Message = {"type": "http.response.start", "status": 200, "headers": []}
CONTENT = random.Random(5).randbytes(3_000_000)
HUGE_BYTES = 64 * 1024 * 1024
"""More than the sockets of a connection hold between them."""

WAYS = [("asyncio", False), ("uvloop", False), ("asyncio", True), ("uvloop", True)]
each_way = pytest.mark.parametrize(("loop", "tls"), WAYS, ids={False: "plain", True: "TLS"}.get)
each_loop = pytest.mark.parametrize("loop", ["asyncio", "uvloop"])


def path_of(path: Path | str) -> Message:
    return {"type": "http.response.pathsend", "path": str(path)}


def body(data: bytes, *, more: bool = False) -> Message:
    return {"type": "http.response.body", "body": data, "more_body": more}


def sends(*messages: Message) -> Application:
    async def app(scope: Message, receive: Receive, send: Send) -> None:
        for message in messages:
            await send(dict(message))

    return app


def counted(size: int) -> Message:
    return {**START, "headers": [(b"content-length", b"%d" % size)]}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "file"
    path.write_bytes(CONTENT)
    return path


@pytest.fixture
def huge(tmp_path: Path) -> Path:
    path = tmp_path / "huge"
    path.touch()
    os.truncate(path, HUGE_BYTES)
    return path


def descriptors() -> dict[str, str]:
    """What each descriptor of this process is of, but for the one that the list is read with."""
    found = {}
    for name in os.listdir("/proc/self/fd") if os.path.isdir("/proc/self/fd") else []:
        with suppress(FileNotFoundError):
            found[name] = os.readlink(f"/proc/self/fd/{name}")
    return found


def play(
    app: Application,
    scenario: Callable[[Served, Client], Awaitable[None]],
    *,
    loop: str = "asyncio",
    tls: bool = False,
) -> None:
    """The scenario with one client of the application; no descriptor may be left over."""
    settings = {"ssl_certfile": (localhost().certificate,), "ssl_keyfile": (localhost().key,)} if tls else {}
    trust = ssl.create_default_context(cafile=authority().certificate) if tls else None

    async def played() -> None:
        async with serving(app, **settings) as served:
            client = await served.connect(trust)
            await until(lambda: served.server.connections)
            before = descriptors()
            await scenario(served, client)
            await until(lambda: not served.server.in_flight())  # applications may still close files
            after = descriptors()
            assert after.items() <= before.items()

    run(played(), loop=loop)


def asked(app: Application, request: bytes = GET, *, to: str = "GET") -> tuple[Response, Served]:
    kept: list[tuple[Response, Served]] = []

    async def scenario(served: Served, client: Client) -> None:
        client.send(request)
        kept.append((await client.response(to=to), served))

    play(app, scenario)
    return kept[0]


@each_way
def test_a_file_is_the_body_and_the_connection_goes_on(file: Path, loop: str, tls: bool) -> None:
    async def app(scope: Message, receive: Receive, send: Send) -> None:
        await send(dict(START))
        await send(path_of(file) if scope["path"] == "/" else body(b"bytes"))

    async def scenario(served: Served, client: Client) -> None:
        for request in (GET, GET + GET.replace(b"/ ", b"/b "), GET):
            client.send(request)
            response = await client.response()
            assert response.headers["content-length"] == str(len(CONTENT))
            assert response.body == CONTENT
            if request is not GET:
                assert (await client.response()).body == b"bytes"
        assert not served.heard.all("request.failed")
        assert served.server.figures().responses == (0, 4, 0, 0, 0)

    play(app, scenario, loop=loop, tls=tls)


@each_way
def test_parts_of_files_and_bytes_can_be_mixed(file: Path, loop: str, tls: bool) -> None:
    other = b"o" * 200_000

    async def app(scope: Message, receive: Receive, send: Send) -> None:
        await send(counted(len(expected)) if scope["path"] == "/counted" else dict(START))
        await send(body(other, more=True))
        with open(file, "rb") as source:
            part = {"type": "http.response.zerocopysend", "file": source, "more_body": True}
            source.seek(10)
            await send({**part, "count": 500_000})
            assert source.tell() == 500_010
            await send({**part, "count": 5})
            await send(body(other, more=True))
            await send({**part, "file": source.fileno(), "offset": 7, "count": 100_000})
            assert source.tell() == 500_015
            await send({**part, "offset": len(CONTENT)})
            await send({**part, "more_body": False})
            assert source.tell() == len(CONTENT)

    expected = other + CONTENT[10:500_015] + other + CONTENT[7:100_007] + CONTENT[500_015:]

    async def scenario(served: Served, client: Client) -> None:
        for path, framing in (
            (b"/", "transfer-encoding"),
            (b"/counted", "content-length"),
            (b"/", "transfer-encoding"),
        ):
            response = await client.get(GET.replace(b"/ ", path + b" "))
            assert response.body == expected
            assert framing in response.headers
        assert not served.heard.all("request.failed")

    play(app, scenario, loop=loop, tls=tls)


@pytest.mark.parametrize("size", [0, 5, 65536, 65537])
def test_small_files_are_whole_too(file: Path, size: int) -> None:
    os.truncate(file, size)
    response, served = asked(sends(START, path_of(file)))
    assert response.body == CONTENT[:size]
    assert response.headers["content-length"] == str(size)
    assert not served.heard.all("request.failed")


@pytest.mark.parametrize("size", [5, len(CONTENT)])
def test_head_gets_the_length_and_nothing_of_the_file(file: Path, size: int) -> None:
    os.truncate(file, size)

    async def scenario(served: Served, client: Client) -> None:
        for _ in range(2):
            client.send(GET.replace(b"GET", b"HEAD"))
            assert (await client.response(to="HEAD")).headers["content-length"] == str(size)
        assert not served.heard.all("request.failed")

    play(sends(START, path_of(file)), scenario)


def test_a_file_to_http_1_0_ends_as_its_length_says(file: Path) -> None:
    async def scenario(served: Served, client: Client) -> None:
        client.send(b"GET / HTTP/1.0\r\n\r\n")
        head, _, content = (await client.rest()).partition(b"\r\n\r\n")
        assert b"content-length: %d" % len(CONTENT) in head
        assert content == CONTENT

    play(sends(START, path_of(file)), scenario)


@pytest.mark.parametrize("length", [len(CONTENT) - 1, len(CONTENT) + 1], ids=["longer", "shorter"])
def test_a_file_that_is_not_as_long_as_its_content_length_is_a_500(file: Path, length: int) -> None:
    response, served = asked(sends(counted(length), path_of(file)))
    assert response.status == 500
    assert "content-length says" in str(served.heard.all("request.failed")[0]["traceback"])


def test_what_is_no_file_is_a_500_that_tells_the_log_why(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "text").write_text("text")
    with open(tmp_path / "text", encoding="utf-8") as text, open(tmp_path / "text", "rb") as binary:
        part = {"type": "http.response.zerocopysend", "file": binary}
        cases: list[tuple[Message, str]] = [
            (path_of(tmp_path / "missing"), "path: cannot open '"),
            (path_of(tmp_path), "must be a regular file"),
            (path_of(tmp_path / "fifo"), "must be a regular file"),
            ({**path_of("x"), "path": b"x"}, "path: must be a str"),
            ({**part, "file": text}, "file: must be a binary file"),
            ({**part, "file": None}, "file: must be a binary file"),
            ({**part, "file": io.BytesIO(b"x")}, "file: must be a binary file"),
            ({**part, "file": 1 << 20}, "file: must be a binary file"),
            ({**part, "offset": -1}, "offset: must be a whole number"),
            ({**part, "count": "5"}, "count: must be a whole number"),
        ]
        for message, said in cases:
            response, served = asked(sends(START, message))
            assert response.status == 500, said
            assert said in str(served.heard.all("request.failed")[0]["traceback"])


def test_a_file_that_fails_is_not_taken_for_a_client_that_is_gone(tmp_path: Path) -> None:
    raised: list[BaseException] = []

    async def app(scope: Message, receive: Receive, send: Send) -> None:
        await send(dict(START))
        try:
            await send(path_of(tmp_path / "missing"))
        except RuntimeError as error:
            raised.append(error)
        await send(body(b"none"))

    response, _ = asked(app)
    assert response.body == b"none"
    assert not isinstance(raised[0], OSError)
    assert isinstance(raised[0].__cause__, FileNotFoundError)


def test_a_path_stands_alone(file: Path) -> None:
    response, served = asked(sends(START, path_of(file), body(b"")))
    assert response.body == CONTENT
    assert "the response is complete" in str(served.heard.all("request.failed")[0]["traceback"])

    async def scenario(served: Served, client: Client) -> None:
        client.send(GET)
        assert (await client.rest()).endswith(b"1\r\na\r\n")
        assert "is under way" in str(served.heard.all("request.failed")[0]["traceback"])

    play(sends(START, body(b"a", more=True), path_of(file)), scenario)


def blocked(served: Served) -> Callable[[], bool]:
    """Whether the one application waits in send(), and has done for one more round than when it was asked first."""
    seen = [-1]

    def is_blocked() -> bool:
        taken = [connection.transport.get_write_progress() for connection in served.server.connections]
        before, seen[0] = seen[0], taken[0] if taken and taken[0] is not None else -1
        return 0 <= seen[0] == before < HUGE_BYTES

    return is_blocked


@each_way
def test_a_slow_reader_costs_its_buffers_and_gets_the_whole_file(huge: Path, loop: str, tls: bool) -> None:
    async def scenario(served: Served, client: Client) -> None:
        client.send(GET)
        await until(blocked(served))
        (connection,) = served.server.connections
        assert connection.transport.get_write_buffer_size() < 1_000_000
        head = await client.reader.readuntil(b"\r\n\r\n")
        assert b"content-length: %d" % HUGE_BYTES in head
        left = HUGE_BYTES
        while left:
            left -= len(await client.reader.read(1 << 20))
        assert (await client.get(GET.replace(b"/ ", b"/end "))).body == b"end"
        assert not served.heard.all("request.failed")

    async def app(scope: Message, receive: Receive, send: Send) -> None:
        if scope["path"] == "/end":
            await reply(send, b"end")
        else:
            await sends(START, path_of(huge))(scope, receive, send)

    play(app, scenario, loop=loop, tls=tls)


@each_way
def test_a_client_that_leaves_in_the_middle_ends_it(huge: Path, loop: str, tls: bool) -> None:
    dropped: list[bool] = []

    async def app(scope: Message, receive: Receive, send: Send) -> None:
        await send(dict(START))
        await send(path_of(huge))
        dropped.append(True)

    async def scenario(served: Served, client: Client) -> None:
        client.send(GET)
        await until(blocked(served))
        client.reset()
        await until(lambda: not served.server.connections and dropped)
        assert not served.heard.all("request.failed"), "nobody is to blame"

    play(app, scenario, loop=loop, tls=tls)


@each_loop
def test_a_client_that_takes_nothing_is_cut_off_at_the_write_timeout(huge: Path, loop: str) -> None:
    async def scenario(served: Served, client: Client) -> None:
        client.send(GET)
        await until(blocked(served))
        server = served.server
        now = server.now

        def swept() -> bool:
            nonlocal now
            now += server.settings.write_timeout + 1
            server.sweep(now)
            return not server.connections

        await until(swept)
        assert not served.heard.all("request.failed")

    play(sends(START, path_of(huge)), scenario, loop=loop)


@each_way
def test_a_file_that_becomes_shorter_meanwhile_is_a_visible_end(huge: Path, loop: str, tls: bool) -> None:
    async def scenario(served: Served, client: Client) -> None:
        client.send(GET)
        await until(blocked(served))
        os.truncate(huge, 1000)
        await client.reader.readuntil(b"\r\n\r\n")
        assert len(await client.rest()) < HUGE_BYTES
        assert "the file has become shorter by" in str(served.heard.all("request.failed")[0]["traceback"])

    play(sends(START, path_of(huge)), scenario, loop=loop, tls=tls)


@each_loop
def test_whoever_gives_up_in_the_middle_cannot_go_on_with_something_else(huge: Path, loop: str) -> None:
    async def app(scope: Message, receive: Receive, send: Send) -> None:
        await send(dict(START))
        sending = asyncio.create_task(send(path_of(huge)))  # type: ignore[arg-type]  # a coroutine function
        (message,) = [await receive()]
        assert message["type"] == "http.request"
        with pytest.raises(RuntimeError, match="is in the middle of a file"):
            await send(body(b"at the same time"))
        sending.cancel()
        with pytest.raises(asyncio.CancelledError):
            await sending
        await send(body(b"instead"))

    async def scenario(served: Served, client: Client) -> None:
        client.send(b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 1\r\n\r\n")
        await until(blocked(served))
        client.send(b"x")
        said = await client.rest()
        assert b"at the same time" not in said
        assert not said.endswith(b"instead")
        assert len(said) < HUGE_BYTES
        assert "is in the middle of a file" in str(served.heard.all("request.failed")[0]["traceback"])

    play(app, scenario, loop=loop)


@each_loop
def test_a_drain_waits_for_a_file(huge: Path, loop: str) -> None:
    async def scenario(served: Served, client: Client) -> None:
        client.send(GET)
        await until(blocked(served))
        drained = asyncio.create_task(served.server.drain(60.0, final=True))
        await client.reader.readuntil(b"\r\n\r\n")
        assert len(await client.reader.readexactly(HUGE_BYTES)) == HUGE_BYTES
        client.close()
        assert await drained

    play(sends(START, path_of(huge)), scenario, loop=loop)


@each_way
def test_the_kernel_moves_the_bytes_unless_they_are_encrypted(
    file: Path, loop: str, tls: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    moved: list[int] = []

    def move(*arguments: int) -> int:
        moved.append(sendfile(*arguments))
        return moved[-1]

    sendfile = socket_transport.os.sendfile
    monkeypatch.setattr(socket_transport.os, "sendfile", move)

    async def scenario(served: Served, client: Client) -> None:
        assert (await client.get()).body == CONTENT

    play(sends(START, path_of(file)), scenario, loop=loop, tls=tls)
    assert sum(moved) == (0 if tls else len(CONTENT))


def test_a_file_that_sendfile_does_not_know_is_read(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> int:
        raise OSError(errno.EINVAL, "no sendfile here")

    monkeypatch.setattr(socket_transport.os, "sendfile", refuse)
    assert asked(sends(START, path_of(file)))[0].body == CONTENT


def test_a_disk_that_fails_is_a_visible_end(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> int:
        raise OSError(errno.EIO, "the disk is broken")

    monkeypatch.setattr(socket_transport.os, "sendfile", fail)

    async def scenario(served: Served, client: Client) -> None:
        client.send(GET)
        assert (await client.rest()).endswith(b"\r\n\r\n"), "the head, and nothing of the file"
        assert "the file cannot be read: the disk is broken" in str(served.heard.all("request.failed")[0]["traceback"])

    play(sends(START, path_of(file)), scenario)


@each_way
def test_starlette_sends_its_files_this_way(file: Path, loop: str, tls: bool) -> None:
    responses = pytest.importorskip("starlette.responses")
    kinds: list[object] = []

    async def app(scope: Message, receive: Receive, send: Send) -> None:
        async def heard(message: Message) -> None:
            kinds.append(message["type"])
            await send(message)

        await responses.FileResponse(file)(scope, receive, heard)

    async def scenario(served: Served, client: Client) -> None:
        assert (await client.get()).body == CONTENT
        ranged = await client.get(GET.replace(b"host", b"range: bytes=1000-1999\r\nhost"))
        assert (ranged.status, ranged.body) == (206, CONTENT[1000:2000])
        assert not served.heard.all("request.failed")

    play(app, scenario, loop=loop, tls=tls)
    assert kinds[:2] == ["http.response.start", "http.response.pathsend"]
