"""One client connection, down to the bytes: what was written, what came back, and how it ended.

No HTTP library: those hide retries and reconnects, and this client must know exactly what happened. Parsing is the
part of RFC 9112 that a client needs: status line, fields, Content-Length, chunked, and the end of the connection.
"""

from __future__ import annotations

import asyncio
import errno
import socket
from dataclasses import dataclass

Address = tuple[str, int]
HEAD_LIMIT = 65536


class Lost(Exception):
    """A request will not get its whole, right answer."""

    def __init__(self, phase: str, why: str) -> None:
        super().__init__(f"{phase}: {why}")
        self.phase = phase
        self.why = why


@dataclass(frozen=True, slots=True)
class Answer:
    """One whole response. `closing`: the server said that it will close, or the version or framing implies it."""

    status: int
    fields: dict[str, str]
    body: bytes
    closing: bool

    @property
    def pid(self) -> int | None:
        pid = self.fields.get("x-pid")
        return int(pid) if pid else None


class Wire(asyncio.Protocol):
    """Bytes of one connection. Only `open` makes one."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self.port: int = sock.getsockname()[1]
        self.phase = "send"
        self.pid: int | None = None
        self.answers = 0
        self.quiet_since = 0.0
        self.buffer = bytearray()
        self.end: str | None = None
        self._transport: asyncio.Transport | None = None
        self._waiter: asyncio.Future[None] | None = None

    @staticmethod
    async def open(address: Address) -> Wire:
        """A connection, or Lost: a connect that is refused or reset is a lost request."""
        loop = asyncio.get_running_loop()
        sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        try:
            sock.setblocking(False)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            await loop.sock_connect(sock, address)
            wire = Wire(sock)
        except OSError as error:
            sock.close()
            raise Lost("connect", errno.errorcode.get(error.errno or 0, str(error))) from error
        except asyncio.CancelledError:
            sock.close()
            raise
        await loop.create_connection(lambda: wire, sock=sock)
        wire.quiet_since = loop.time()
        return wire

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        self._wake()

    def eof_received(self) -> None:
        self.end = "closed"
        self._wake()

    def connection_lost(self, exc: Exception | None) -> None:
        if exc is not None:
            code = exc.errno if isinstance(exc, OSError) else None
            self.end = errno.errorcode.get(code or 0, repr(exc))
        elif self.end is None:
            self.end = "closed by us"
        self._wake()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def is_ended(self) -> bool:
        """True if the server has closed or reset this connection, as far as our kernel knows at this instant.

        The kernel is asked, not the event loop: a FIN that has arrived but was not read yet is seen too. What is
        written after this said False was written to a connection that was open on our side.
        """
        if self.end is not None:
            return True
        try:
            return self.sock.recv(1, socket.MSG_PEEK) == b""
        except BlockingIOError:
            return False
        except OSError:  # the pending error of the socket: ECONNRESET, ETIMEDOUT
            return True

    def has_unread(self) -> bool:
        """True if our kernel holds bytes of this connection that the event loop has not read."""
        if self.end is not None:
            return False
        try:
            return self.sock.recv(1, socket.MSG_PEEK) != b""
        except OSError:  # EAGAIN: nothing is there; anything else is the connection's end
            return False

    def write(self, data: bytes) -> None:
        assert self._transport is not None
        if self.end is not None:
            raise Lost("send", self.end)
        self._transport.write(data)

    def close(self) -> None:
        if self._transport is not None:
            self._transport.close()

    def abort(self) -> None:
        if self._transport is not None:
            self._transport.abort()

    async def _more(self) -> None:
        """Returns when more bytes have come; Lost if the connection ended instead."""
        if self.end is not None:
            raise Lost(self.phase, self.end)
        size = len(self.buffer)
        self._waiter = asyncio.get_running_loop().create_future()
        await self._waiter
        if len(self.buffer) == size and self.end is not None:
            raise Lost(self.phase, self.end)

    async def take(self, size: int) -> bytes:
        while len(self.buffer) < size:
            await self._more()
        taken = bytes(self.buffer[:size])
        del self.buffer[:size]
        return taken

    async def _take_until(self, mark: bytes) -> bytes:
        """The bytes before `mark`; the mark is taken, too."""
        while (at := self.buffer.find(mark)) < 0:
            if len(self.buffer) > HEAD_LIMIT:
                raise Lost(self.phase, "endless head")
            await self._more()
        taken = bytes(self.buffer[:at])
        del self.buffer[: at + len(mark)]
        return taken

    async def head(self, *, informational: tuple[int, ...] = ()) -> tuple[int, dict[str, str]]:
        """Status and fields (names in lower case) of the next response that is not 1xx, or one of `informational`."""
        self.phase = "head"
        while True:
            lines = (await self._take_until(b"\r\n\r\n")).decode("latin-1").split("\r\n")
            version, _, rest = lines[0].partition(" ")
            if version not in ("HTTP/1.1", "HTTP/1.0") or not rest[:3].isdigit():
                raise Lost("head", f"not a status line: {lines[0][:60]!r}")
            if not rest.startswith("1") or int(rest[:3]) in informational:
                break
        fields: dict[str, str] = {}
        for line in lines[1:]:
            name, colon, value = line.partition(":")
            if not colon:
                raise Lost("head", f"not a field: {line[:60]!r}")
            key = name.lower()
            fields[key] = f"{fields[key]}, {value.strip()}" if key in fields else value.strip()
        if version == "HTTP/1.0":
            fields.setdefault("connection", "close")
        return int(rest[:3]), fields

    async def answer(self) -> Answer:
        """The next whole response, or Lost with the phase it had reached."""
        status, fields = await self.head()
        self.phase = "body"
        closing = "close" in fields.get("connection", "").lower()
        if fields.get("transfer-encoding", "").lower() == "chunked":
            body = await self._chunks()
        elif "content-length" in fields:
            body = await self.take(int(fields["content-length"]))
        else:
            raise Lost("body", "neither a length nor chunks: its end could not be told from a broken connection")
        answer = Answer(status, fields, body, closing)
        self.pid = answer.pid or self.pid
        self.answers += 1
        self.quiet_since = asyncio.get_running_loop().time()
        return answer

    async def _chunks(self) -> bytes:
        body = bytearray()
        while True:
            text = await self._take_until(b"\r\n")
            try:
                size = int(text.partition(b";")[0], 16)
            except ValueError:
                raise Lost("body", f"not a chunk size: {text[:20]!r}") from None
            if size == 0:
                break
            body += await self.take(size)
            if await self.take(2) != b"\r\n":
                raise Lost("body", "a chunk does not end where it says")
        while await self._take_until(b"\r\n"):
            pass
        return bytes(body)
