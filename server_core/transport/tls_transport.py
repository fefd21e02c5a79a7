"""TLS over one transport: the transport of a connection, and the protocol of the plain transport below it, in one.

asyncio and uvloop have such a layer, with a buffer of 256 KiB for each connection. asyncio's is zeroed, so that all of
it is used. uvloop's takes few pages itself, but comes to lie between what OpenSSL needs for a moment, so that twice as
much memory stays behind (contrib/docs/LIMITS.md has the figures). Nothing needs to be buffered: what the plain
transport hands over is decrypted at once, and what is written is encrypted as long as the plain transport takes it.

An end is told both ways (RFC 8446 section 6.1): our close_notify goes out behind what was written, and then what comes
is thrown away until the peer's own, or its FIN. How long to wait for those is for whoever has closed (closing.py).
"""

from __future__ import annotations

import asyncio
import errno
import ssl
from collections import deque
from collections.abc import Callable
from contextvars import copy_context
from typing import TYPE_CHECKING, Any, Final, cast

from server_core.transport.base import Transport

if TYPE_CHECKING:
    from server_core.transport.base import Newcomer, Served
    from server_core.transport.socket_transport import SocketTransport

RECORD_BYTES: Final = 16384
"""The most that one record holds (RFC 8446 section 5.1). No more is given to OpenSSL at once, in either direction: what
it keeps bytes in grows with them, and never shrinks again."""

Factory = Callable[[], "Newcomer"]

_SILENT, _SHAKING, _OPEN, _CLOSING, _LOST = range(5)


class TlsTransport(Transport):
    """Makes its protocol by `factory` once the handshake is done, and resolves `shaken` then."""

    __slots__ = (
        *("_below", "_context", "_factory", "_full", "_incoming", "_is_held", "_outgoing", "_protocol", "_shaken"),
        *("_ssl", "_state", "_waiting"),
    )

    supports_half_close = False
    _below: SocketTransport
    _protocol: Served

    def __init__(self, context: ssl.SSLContext, factory: Factory, shaken: asyncio.Future[None]) -> None:
        self._context = context
        self._factory, self._shaken = cast("Factory | None", factory), cast("asyncio.Future[None] | None", shaken)
        self._state = _SILENT
        self._full = self._is_held = False
        self._waiting: deque[memoryview] | None = None
        """What is to be encrypted when the transport below has room again."""

    # The protocol of the transport below

    def connection_made(self, transport: SocketTransport) -> None:
        self._below = transport

    def data_received(self, data: bytes) -> None:
        if self._state == _OPEN:
            self._read(data)
            return
        if self._state == _SILENT:
            self._begin()
        self._incoming.write(data)
        if self._state == _SHAKING:
            self._shake()
        elif self._state == _CLOSING:
            self._drop()

    def eof_received(self) -> bool:
        """A FIN, or the peer's close_notify: of TLS no half can be kept, as many clients end both with one."""
        if self._state == _OPEN:
            self._protocol.eof_received()
            self.close()
        return False

    def connection_lost(self, error: Exception | None) -> None:
        has_begun, self._state = self._state != _SILENT, _LOST
        if self._factory is None:
            self._protocol.connection_lost(error)
            del self._protocol
        else:
            self._refuse(error or ConnectionResetError("the client has gone before the end of the TLS handshake"))
        if has_begun:  # 17 KB of OpenSSL's go with them, however long the exchange knows its connection
            del self._ssl, self._incoming, self._outgoing
        self._waiting = None

    def pause_writing(self) -> None:
        self._full = True
        if self._state == _OPEN:
            self._protocol.pause_writing()

    def resume_writing(self) -> None:
        self._full = False
        if self._waiting:
            self._encrypt()
        if not self._full and self._state == _OPEN:
            self._protocol.resume_writing()

    # The handshake

    def _begin(self) -> None:
        """OpenSSL takes 10 KB for a connection; who never says a word does not get them."""
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._ssl = self._context.wrap_bio(self._incoming, self._outgoing, server_side=True)
        self._state = _SHAKING

    def _shake(self) -> None:
        try:
            # In a context of its own: an sni_callback is the application's, and may set variables there.
            copy_context().run(self._ssl.do_handshake)
        except ssl.SSLWantReadError:
            self._flush()
            return
        except ssl.SSLError as error:
            self._flush()  # the alert that says why
            self._state = _LOST
            self._refuse(error)
            self._below.close()
            return
        if (factory := self._factory) is None or (shaken := self._shaken) is None or shaken.done():
            return  # nobody waits for it any more: given up in this very turn
        # In TLS 1.3 that is a ticket, and could go with the response. But it carries the acknowledgement that a client
        # with Nagle's algorithm waits for with its request: without it that waits for a delayed one (40 ms on Linux).
        self._flush()
        self._factory = self._shaken = None
        self._state = _OPEN
        self._protocol = protocol = factory()
        shaken.set_result(None)
        protocol.connection_made(self)
        if self._incoming.pending:
            self._read(b"")

    def _refuse(self, error: Exception) -> None:
        if self._shaken is not None and not self._shaken.done():
            self._shaken.set_exception(error)

    # Bytes that come

    def _read(self, data: bytes) -> None:
        """Hand over all that has come in whole records."""
        parts: list[bytes] = []
        start, view = 0, data if len(data) <= RECORD_BYTES else memoryview(data)
        try:
            while not (has_ended := self._decrypt(view[start : start + RECORD_BYTES], parts)):
                start += RECORD_BYTES
                if start >= len(data):
                    break
        except ssl.SSLError:
            self._fail()
            return
        if self._outgoing.pending:
            self._flush()  # TLS's own answer, as to a new key
        if parts:
            self._protocol.data_received(parts[0] if len(parts) == 1 else b"".join(parts))
        if has_ended:
            self.eof_received()

    def _decrypt(self, data: bytes | memoryview, parts: list[bytes]) -> bool:
        """Add what is in the records that end in these bytes; True if the peer has said goodbye."""
        self._incoming.write(data)
        try:
            while self._incoming.pending:
                part = self._ssl.read(RECORD_BYTES)
                if not part:
                    return True
                parts.append(part)
        except ssl.SSLWantReadError:
            pass  # the rest of a record is still to come
        return False

    def _drop(self) -> None:
        """Throw away what comes behind our close_notify, until the peer's."""
        try:
            while self._ssl.read(RECORD_BYTES):
                pass
        except ssl.SSLWantReadError:
            return
        except ssl.SSLError:  # SSLZeroReturnError, where all is well
            pass
        self._below.close()

    def _fail(self) -> None:
        """The peer does not keep to the protocol, or somebody in between meddles with it."""
        self._state = _CLOSING
        self._flush()
        self._below.close()

    # Bytes that go

    def write(self, data: bytes) -> None:
        if self._state != _OPEN:
            return
        if self._waiting or self._full or len(data) > RECORD_BYTES:
            self._waiting = self._waiting or deque()
            self._waiting.append(memoryview(data))
            self._encrypt()
        elif data:
            try:
                self._ssl.write(data)
            except ssl.SSLError:
                self._fail()
                return
            if not self._is_held:
                self._flush()

    def write_last(self, data: bytes | tuple[bytes, bytes]) -> None:
        """Encrypt, and leave the record for close(), which follows at once: it goes out with our close_notify."""
        self._is_held = True
        self.write(b"".join(data) if isinstance(data, tuple) else data)

    def sendfile(self, file: int, offset: int, size: int) -> int:  # noqa: ARG002 - as of every transport
        raise OSError(errno.EOPNOTSUPP, "TLS is encrypted here, not in the kernel")

    def writelines(self, parts: tuple[bytes, bytes]) -> None:
        self.write(b"".join(parts))

    def _encrypt(self) -> None:
        waiting = cast("deque[memoryview]", self._waiting)
        try:
            while waiting and not self._full:
                part = waiting[0]
                sent = self._ssl.write(part[:RECORD_BYTES]) if part else 0
                if sent < len(part):
                    waiting[0] = part[sent:]
                else:
                    waiting.popleft()
                self._flush()
        except ssl.SSLError:
            self._fail()
            return
        if not waiting:
            self._waiting = None
            if self._state == _CLOSING:
                self._say_goodbye()

    def _flush(self) -> None:
        self._below.write(self._outgoing.read())

    # The transport of a connection

    def close(self) -> None:
        if self._state == _OPEN:
            self._state = _CLOSING
            if not self._below.is_reading():
                self._below.resume_reading()  # for the peer's close_notify
            if not self._waiting:
                self._say_goodbye()

    def _say_goodbye(self) -> None:
        has_answered = True
        try:
            self._ssl.unwrap()
        except ssl.SSLError:  # SSLWantReadError: the peer's is still to come
            has_answered = False
        self._flush()
        if has_answered:
            self._below.close()

    def abort(self) -> None:
        self._below.abort()

    def is_closing(self) -> bool:
        return self._state in (_CLOSING, _LOST) or self._below.is_closing()

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        if name == "ssl_object":
            return default if self._state == _LOST else self._ssl
        return self._below.get_extra_info(name, default)

    def fileno(self) -> int:
        """The socket's descriptor, for what the kernel knows of it; -1 once it is closed."""
        return self._below.fileno()

    def set_protocol(self, protocol: Served) -> None:
        self._protocol = protocol
        if self._full:
            protocol.pause_writing()

    def ready(self, events: int) -> None:
        """What the plain transport is told by its poller, for a caller that has waited for it."""
        self._below.ready(events)

    def pause_reading(self) -> None:
        self._below.pause_reading()

    def resume_reading(self) -> None:
        self._below.resume_reading()

    def get_write_progress(self) -> int | None:
        return self._below.get_write_progress()  # what waits here does so because that is full

    def get_write_buffer_size(self) -> int:
        waiting = sum(map(len, self._waiting)) if self._waiting else 0
        return self._below.get_write_buffer_size() + waiting
