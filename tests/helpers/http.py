"""What tests of the server core share: a served application, a client of plain bytes, a transport to nowhere."""

from __future__ import annotations

import asyncio
import socket
import ssl
import struct
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from server_core.asgi.http_exchange import Application, Message, Receive, Send
from server_core.http1.connection import Http1Connection
from server_core.server.server import Server
from server_core.settings.declaration import ServerSettings
from server_core.tls.termination import load as load_tls
from server_core.transport import base
from tests.helpers.deadline import GENEROUS_S

DEADLINE_S = GENEROUS_S
"""One generous deadline for every wait, paid only on failure."""

PARSERS = ("httptools", "h11")

GET = b"GET / HTTP/1.1\r\nhost: x\r\n\r\n"


@dataclass
class Heard:
    """A Log that keeps what it hears."""

    events: list[tuple[str, dict[str, object]]] = field(default_factory=list)

    def __call__(self, event: str, /, **fields: object) -> None:
        self.events.append((event, fields))

    def all(self, event: str) -> list[dict[str, object]]:
        return [fields for name, fields in self.events if name == event]


@dataclass
class Response:
    status: int
    headers: dict[str, str]
    body: bytes
    is_whole: bool = True


class Client:
    """One connection, as bytes."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    def send(self, data: bytes) -> None:
        self.writer.write(data)

    async def response(self, *, to: str = "GET") -> Response:
        """The next response, read to its end."""
        async with asyncio.timeout(DEADLINE_S):
            head = await self.reader.readuntil(b"\r\n\r\n")
            response, length = parse_head(head)
            if to == "HEAD" or response.status in (204, 304) or response.status < 200:
                return response
            if response.headers.get("transfer-encoding") == "chunked":
                while size := int(await self.reader.readuntil(b"\r\n"), 16):
                    response.body += (await self.reader.readexactly(size + 2))[:-2]
                await self.reader.readexactly(2)
            elif length is not None:
                response.body = await self.reader.readexactly(length)
            else:
                response.body = await self.reader.read()
            return response

    async def rest(self) -> bytes:
        """Everything up to the end of the connection."""
        async with asyncio.timeout(DEADLINE_S):
            return await self.reader.read()

    async def get(self, request: bytes = GET) -> Response:
        self.send(request)
        return await self.response()

    def close(self) -> None:
        self.writer.close()

    def reset(self) -> None:
        """Go away with a reset, so that nobody can take it for a half-close."""
        sock = self.writer.transport.get_extra_info("socket")
        if sock is not None:  # a TLS client of uvloop forgets it when the other end closes
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.writer.transport.abort()


def parse_head(head: bytes) -> tuple[Response, int | None]:
    """A response without its body, and its content-length."""
    lines = head.decode("latin-1").split("\r\n")
    headers: dict[str, str] = {}
    for line in lines[1:-2]:
        name, _, value = line.partition(": ")
        assert name.lower() not in headers, f"{name} is given twice"
        headers[name.lower()] = value
    length = headers.get("content-length")
    return Response(int(lines[0].split(" ")[1]), headers, b""), None if length is None else int(length)


def parse_responses(data: bytes, to_head: Sequence[bool] = ()) -> list[Response]:
    """All responses in the bytes of one connection; one that is not whole says so.

    `to_head` says of each final response whether it answers HEAD; after its end, none does.
    """
    found: list[Response] = []
    headless = iter(to_head)
    while data:
        head, end, data = data.partition(b"\r\n\r\n")
        assert end, f"half a head: {head!r}"
        response, length = parse_head(head + end)
        found.append(response)
        if response.status < 200 or next(headless, False) or response.status in (204, 304):
            continue
        if response.headers.get("transfer-encoding") == "chunked":
            while True:
                line, end, rest = data.partition(b"\r\n")
                if not end or len(rest) < int(line, 16) + 2:
                    response.is_whole, data = False, b""
                    break
                size = int(line, 16)
                response.body, data = response.body + rest[:size], rest[size + 2 :]
                if size == 0:
                    break
        elif length is not None:
            response.body, data = data[:length], data[length:]
            response.is_whole = len(response.body) == length
        else:
            response.body, data = data, b""
    return found


@dataclass
class Served:
    """A server that listens, and the way to it."""

    server: Server
    heard: Heard
    address: tuple[str, int]
    clients: list[Client] = field(default_factory=list)

    async def connect(self, tls: ssl.SSLContext | None = None, name: str = "localhost") -> Client:
        """A client; one of TLS says that it wants the server of this name."""
        opened = await asyncio.open_connection(*self.address, ssl=tls, server_hostname=name if tls else None)
        client = Client(*opened)
        self.clients.append(client)
        return client


@asynccontextmanager
async def serving(
    app: Application,
    *,
    state: dict[str, object] | None = None,
    on_max_requests: Callable[[str], None] | None = None,
    **settings: object,
) -> AsyncIterator[Served]:
    """`app` on a port of its own; the sweep is the test's business."""
    heard = Heard()
    loop = asyncio.get_running_loop()
    chosen = ServerSettings(**settings)  # type: ignore[arg-type]  # the test names them
    server = Server(app, chosen, loop, log=heard, state=state, on_max_requests=on_max_requests, tls=load_tls(chosen))
    listener = socket.create_server(("127.0.0.1", 0))
    address = listener.getsockname()
    server.listen(listener)
    server.serve()
    served = Served(server, heard, address)
    try:
        yield served
    finally:
        for client in served.clients:
            client.close()
        await server.drain(0.0, final=True)
        server.abort()
        async with asyncio.timeout(DEADLINE_S):
            await until(lambda: not server.connections and not server.background)
            server.close()
            for client in served.clients:
                try:
                    await client.writer.wait_closed()
                except OSError:  # reset, as some tests want it
                    pass


async def until(condition: Callable[[], object]) -> None:
    """Return when the condition holds; it is looked at each time the loop has done something."""
    async with asyncio.timeout(DEADLINE_S):
        while not condition():
            await turn()


async def turn() -> None:
    """Let the loop go round once, reading its sockets."""
    loop = asyncio.get_running_loop()
    turned = loop.create_future()
    timer = loop.call_later(0.001, turned.set_result, None)
    try:
        await turned
    finally:
        timer.cancel()


def run(test: Coroutine[object, object, None], *, loop: str = "asyncio") -> None:
    """Run one test to its end on a fresh loop."""
    if loop == "uvloop":
        import uvloop

        factory: Callable[[], asyncio.AbstractEventLoop] = uvloop.new_event_loop
    else:
        factory = asyncio.new_event_loop
    with asyncio.Runner(loop_factory=factory) as runner:
        runner.run(within(test))


async def within(test: Awaitable[None]) -> None:
    async with asyncio.timeout(3 * DEADLINE_S):
        await test


class PipeTransport(base.Transport):
    """A transport to nowhere: keeps what is written, and passes on what the test says the client does."""

    def __init__(self, connection: Http1Connection) -> None:
        self.connection = connection
        self.written = b""
        self.writes = 0
        self.is_shut = False
        self._closing = False
        self.is_reading_paused = False
        self.pending = 0
        connection.connection_made(self)

    def feed(self, data: bytes) -> None:
        if not self._closing:
            self.connection.data_received(data)

    def lose(self) -> None:
        self._closing = True
        self.connection.connection_lost(None)

    def get_extra_info(self, name: str, default: object = None) -> object:
        return ("127.0.0.1", 8000) if name == "sockname" else default

    def fileno(self) -> int:
        return -1

    def set_protocol(self, protocol: base.Served) -> None:
        raise NotImplementedError

    def write(self, data: bytes) -> None:
        assert not self.is_shut
        self.written += data
        self.writes += 1

    def writelines(self, parts: tuple[bytes, bytes]) -> None:
        for data in parts:
            self.write(data)

    def write_last(self, data: bytes | tuple[bytes, bytes]) -> None:
        if isinstance(data, tuple):
            self.writelines(data)
        else:
            self.write(data)

    def get_write_buffer_size(self) -> int:
        return self.pending

    def get_write_progress(self) -> int | None:
        return len(self.written) - self.pending if self.pending else None

    def write_eof(self) -> None:
        self.is_shut = True

    def pause_reading(self) -> None:
        self.is_reading_paused = True

    def resume_reading(self) -> None:
        self.is_reading_paused = False

    def is_closing(self) -> bool:
        return self._closing

    def close(self) -> None:
        self._closing = self.is_shut = True

    def abort(self) -> None:
        self.close()


async def reflect(scope: Message, receive: Receive, send: Send) -> None:
    """Answers with what it was asked: method, path, query, Host, body; for the query `fields` with those instead."""
    body = b""
    more: object = True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            return
        body += message["body"]  # type: ignore[operator]  # bytes, as ASGI says
        more = message["more_body"]
    hosts = [value for name, value in scope["headers"] if name == b"host"]  # type: ignore[attr-defined]  # pairs
    query = scope["query_string"]
    assert isinstance(query, bytes)
    if query == b"fields":
        await reply(send, b" ".join(b"%b=%b" % pair for pair in scope["headers"]))  # type: ignore[attr-defined]  # pairs
        return
    text = f"{scope['method']} {scope['path']} {query.decode()} {b','.join(hosts).decode()} {body.decode('latin-1')}"
    await reply(send, text.encode("latin-1"))


async def reply(send: Send, body: bytes, status: int = 200) -> None:
    """A whole response in two messages."""
    await send({"type": "http.response.start", "status": status, "headers": [(b"content-type", b"text/plain")]})
    await send({"type": "http.response.body", "body": body})
