"""What a client sees of one application: each check returns, or AssertionError says what was otherwise."""

from __future__ import annotations

import http.client
import json
import socket
import struct
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

from tests.helpers.daemon import DEADLINE_S

Address = tuple[str, int]

FILE_BYTES = 300_000
"""More than what a server holds before reading pauses, so that the upload meets backpressure."""
MESSAGE_BYTES = 100_000
BOUNDARY = "a-boundary-of-tests"
LEAVING = 50


@contextmanager
def asked(
    address: Address, method: str, path: str, body: bytes = b"", kind: str = ""
) -> Iterator[http.client.HTTPResponse]:
    """The response to one request, its body not yet read."""
    connection = http.client.HTTPConnection(*address, timeout=DEADLINE_S)
    try:
        connection.request(method, path, body or None, {"Content-Type": kind} if kind else {})
        yield connection.getresponse()
    finally:
        connection.close()


def plain(address: Address) -> None:
    """A query, JSON both ways, an unknown path, and two requests on one connection."""
    connection = http.client.HTTPConnection(*address, timeout=DEADLINE_S)
    try:
        for name in ("you", "you there"):
            connection.request("GET", f"/hello?name={name.replace(' ', '%20')}")
            response = connection.getresponse()
            assert (response.status, response.read().decode()) == (200, f"hello {name}")
    finally:
        connection.close()
    with asked(address, "POST", "/double", b'{"number": 21}', "application/json") as response:
        assert (response.status, json.loads(response.read())) == (200, {"doubled": 42})
    with asked(address, "GET", "/nowhere") as response:
        assert (response.status, bool(response.read())) == (404, True)


def streaming(address: Address) -> None:
    """The first lines of a response that never ends; then the client goes away."""
    with asked(address, "GET", "/stream") as response:
        assert [response.readline() for _ in range(3)] == [b"0\n", b"1\n", b"2\n"]


def events(address: Address) -> None:
    """The first server-sent events of a stream that never ends."""
    with asked(address, "GET", "/events") as response:
        assert str(response.headers["content-type"]).startswith("text/event-stream")
        heard: list[bytes] = []
        while len(heard) < 3:
            line = response.readline().strip()
            heard += [line] if line.startswith(b"data:") else []
        assert heard == [b"data: 0", b"data: 1", b"data: 2"]


def leaving(address: Address) -> None:
    """Clients that leave streams on which nothing happens: what those hold is freed, however the clients go."""
    for hard in (False, True):
        clients = [socket.create_connection(address, timeout=DEADLINE_S) for _ in range(LEAVING)]
        for client in clients:
            client.sendall(b"GET /quiet HTTP/1.1\r\nhost: x\r\n\r\n")
            heard = b""
            while b"begun" not in heard:
                heard += client.recv(65536)
        assert waiting(address) == LEAVING
        for client in clients:
            if hard:
                client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            client.close()
        deadline = time.monotonic() + DEADLINE_S
        while left := waiting(address):
            assert time.monotonic() < deadline, f"{left} of {LEAVING} streams are kept"


def waiting(address: Address) -> int:
    """How many of those streams the application has."""
    with asked(address, "GET", "/waiting") as response:
        return int(response.read())


def upload(address: Address) -> None:
    """A multipart form with a field and a file."""
    file = bytes(range(256)) * (FILE_BYTES // 256)
    parts = [
        b'--%b\r\nContent-Disposition: form-data; name="title"\r\n\r\nPoems\r\n',
        b'--%b\r\nContent-Disposition: form-data; name="file"; filename="a.bin"\r\n'
        b"Content-Type: application/octet-stream\r\n\r\n",
    ]
    mark = BOUNDARY.encode()
    body = b"".join(part % mark for part in parts) + file + b"\r\n--%b--\r\n" % mark
    with asked(address, "POST", "/upload", body, f"multipart/form-data; boundary={BOUNDARY}") as response:
        assert (response.status, response.read().decode()) == (200, f"Poems a.bin {len(file)}")


def websocket(address: Address) -> None:
    """Text and bytes are echoed; the application closes with a code of its own."""
    with opened(address) as client:
        for message in ("hello", "\N{SNOWMAN}", b"\x00" * MESSAGE_BYTES):
            client.send(message)
            assert client.recv(timeout=DEADLINE_S) == message
        client.send("leave")
        assert close_code(client) == 4001
    with opened(address) as client:
        client.close()
        assert client.close_code == 1000


def opened(address: Address) -> ClientConnection:
    return connect(f"ws://{address[0]}:{address[1]}/ws", open_timeout=DEADLINE_S, close_timeout=DEADLINE_S)


def close_code(client: ClientConnection) -> int | None:
    """The code that the server closes with."""
    try:
        while True:
            client.recv(timeout=DEADLINE_S)
    except ConnectionClosed:
        return client.close_code


CHECKS: Mapping[str, Callable[[Address], None]] = {
    "HTTP": plain,
    "streaming": streaming,
    "server-sent events": events,
    "leaving clients": leaving,
    "multipart upload": upload,
    "WebSocket": websocket,
}
