"""WSGI applications served in a thread of this process, and clients of plain sockets: what `--threads 1` needs, where
the application keeps the event loop to itself."""

from __future__ import annotations

import contextlib
import socket
import struct
from collections.abc import Callable, Iterator
from wsgiref.validate import validator

import server_core
from server_core.standalone.embedded import EmbeddedServer
from tests.helpers.http import DEADLINE_S, Response, parse_responses

THREADS = (1, 3)
"""Both ways to run an application: in the loop's thread, and in a pool."""

Start = Callable[..., Callable[[bytes], object]]
Environ = dict[str, object]
LAST = b"connection: close\r\n"


@contextlib.contextmanager
def serving(app: object, *, checked: bool = True, **settings: object) -> Iterator[EmbeddedServer]:
    """`app`, watched by wsgiref.validate unless it is not `checked`, which allows no write() of b"" and the like."""
    watched = validator(app) if checked else app  # type: ignore[type-var]  # a WSGI application
    with server_core.serve(watched, bind="127.0.0.1:0", interface="wsgi", **settings) as server:  # type: ignore[arg-type]
        yield server


class Client:
    """One connection, which waits as long as anything may take."""

    def __init__(self, server: EmbeddedServer) -> None:
        host, _, port = server.addresses[0].rpartition(":")
        self.sock = socket.create_connection((host, int(port)), DEADLINE_S)

    def send(self, data: bytes) -> None:
        self.sock.sendall(data)

    def read_to(self, end: bytes) -> bytes:
        """Everything that comes, up to these bytes."""
        data = b""
        while not data.endswith(end):
            part = self.sock.recv(1)
            assert part, f"the end, and {data!r} before it"
            data += part
        return data

    def rest(self) -> bytes:
        """Everything up to the end."""
        parts = []
        while part := self.sock.recv(65536):
            parts.append(part)
        return b"".join(parts)

    def reset(self) -> None:
        """Go away, so that nobody can take it for a half-close."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.sock.close()

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self.sock.close()


def request(method: str = "GET", path: str = "/", fields: bytes = b"", body: bytes | None = None) -> bytes:
    """A request's bytes; a body has a length."""
    length = b"" if body is None else b"content-length: %d\r\n" % len(body)
    return f"{method} {path} HTTP/1.1\r\nhost: example.org\r\n".encode() + fields + length + b"\r\n" + (body or b"")


def ask(server: EmbeddedServer, data: bytes, *, to_head: bool = False) -> Response:
    """The response to one request on a connection of its own, which closes behind it."""
    with Client(server) as client:
        head, end, body = data.partition(b"\r\n\r\n")
        client.send(head + b"\r\n" + LAST[:-2] + end + body)
        return parse_responses(client.rest(), [to_head])[-1]


def chunked(*parts: bytes) -> bytes:
    """A body in chunks, with its field and the end of the head before it."""
    return b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in (*parts, b""))
