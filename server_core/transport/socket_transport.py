"""One connected socket as a transport: what asyncio's and uvloop's do for a protocol, for sockets that were accepted.

What is different, and why it is not one of theirs:

- It reads before it is watched. Who connects mostly says something at once, and a client that asks once for each
  connection is answered, and gone, before the loop was asked to watch anything.
- It keeps the interpreter while it reads and writes (syscalls.py), as uvloop's do and asyncio's do not.
- It is a descriptor, not a socket object, which costs a system call and 3 us to make (CPython 3.11).
- The kernel can be given a file to send between two writes (http1/file_transfer.py), which theirs cannot.
- It is the same with every loop: asyncio's writelines() does not tell when its buffer is full (CPython 3.12.1, 3.13.0),
  and uvloop has no sendfile().

Like theirs it tells of its end in the loop's next turn, never from inside of a call; writes at once what the kernel
takes, and keeps the rest (write_buffer.py); and is *full* above one mark of bytes kept until it is below another.
"""

from __future__ import annotations

import os
import select
from typing import TYPE_CHECKING, Any, Final

from server_core.transport import syscalls
from server_core.transport.base import Newcomer, Served, Transport
from server_core.transport.socket_info import half_close, own_name
from server_core.transport.write_buffer import HIGH_BYTES, LOW_BYTES, WriteBuffer

if TYPE_CHECKING:
    from server_core.runtime.server_loop import ServerLoop
    from server_core.transport.poller import Poller

READABLE: int = select.POLLIN
WRITABLE: int = select.POLLOUT
"""What a poller is asked for, and tells; numbers in C where this is compiled (socket_transport.pxd)."""

POURED_BYTES: Final = 1 << 20
"""What one sendfile() is asked for: then the loop has a turn. A socket's buffer is seldom larger. Chosen."""


class SocketTransport(Transport):
    """Owns a connected descriptor that does not block, and serves one protocol on it."""

    __slots__ = (
        *("_closing", "_ended", "_events", "_fd", "_full", "_is_much", "_kept", "_loop", "_poller"),
        *("_protocol", "_reading", "_shut", "_taken_bytes"),
    )

    def __init__(self, loop: ServerLoop, poller: Poller, fd: int, protocol: Newcomer) -> None:
        self._loop = loop
        self._poller = poller
        self._fd = fd
        self._protocol: Served = protocol
        self._events = 0
        """What the poller watches for."""
        self._reading, self._is_much, self._taken_bytes = True, False, 0
        self._closing = self._ended = self._full = self._shut = False
        self._kept: WriteBuffer | None = None
        """What the kernel did not take, ever."""

    def open(self) -> None:
        """Tell the protocol of the connection, and of what has come already."""
        try:
            self._protocol.connection_made(self)  # type: ignore[attr-defined]  # the first one is a Newcomer
        except Exception as error:  # noqa: BLE001 - one client's
            self._fail(error)
            return
        if self._reading and not self._read():
            self._watch()
        elif not self._closing:
            # The application has had its first step by then, and most connections that end with their first response
            # have ended.
            self._loop.call_soon(self._watch)

    # What the poller tells

    def ready(self, events: int) -> None:
        """Something to read, room to write, or an error, which both would meet."""
        if events == READABLE and self._reading:
            self._read()
            return
        if events & ~WRITABLE and self._reading:
            self._read()
        if events & ~READABLE and (self._kept or self._full):
            self._write_kept()
        self._watch()  # for what nobody wants any more: pausing for less than a turn costs nothing

    def _watch(self) -> None:
        events = (READABLE if self._reading else 0) | (WRITABLE if self._kept or self._full else 0)
        if events != self._events and self._fd >= 0:
            before, self._events = self._events, events
            try:
                self._poller.watch(self._fd, self, before, events)
            except OSError as error:  # ENOSPC, of epoll_ctl(2): too many are watched already
                self._events = before
                self._lose(error)

    # Bytes that come

    def _read(self) -> bool:
        """Hand over what has come; False if nothing has."""
        try:
            data = syscalls.receive(self._fd, self._is_much)
        except BlockingIOError:
            return False
        except OSError as error:
            self._lose(error)
            return True
        self._is_much = len(data) >= syscalls.FEW_BYTES
        try:
            if data:
                self._protocol.data_received(data)
            else:
                self._hear_end()
        except Exception as error:  # noqa: BLE001 - one client's
            self._fail(error)
        return True

    def _hear_end(self) -> None:
        self._reading, self._ended = False, True
        if not self._protocol.eof_received():
            self.close()

    def pause_reading(self) -> None:
        self._reading = False

    def resume_reading(self) -> None:
        if not (self._closing or self._ended or self._reading):
            self._reading = True
            self._watch()

    def is_reading(self) -> bool:
        return self._reading

    # Bytes that go

    def write(self, data: bytes) -> None:
        """Write all of it, sooner or later; nothing once it is closing."""
        if self._closing or not data:
            return
        if self._kept:
            self._keep(memoryview(data))
            return
        try:
            sent = syscalls.send(self._fd, data)
        except BlockingIOError:
            sent = 0
        except OSError as error:
            self._lose(error)
            return
        if sent < len(data):
            self._keep(memoryview(data)[sent:])

    def writelines(self, parts: tuple[bytes, bytes]) -> None:
        """Write both, by one system call."""
        if self._closing:
            return
        sent = 0
        if not self._kept:
            try:
                sent = syscalls.send_both(self._fd, parts)
            except BlockingIOError:
                pass
            except OSError as error:
                self._lose(error)
                return
        for part in parts:
            if sent < len(part):
                self._keep(memoryview(part)[sent:])
                sent = 0
            else:
                sent -= len(part)

    def write_last(self, data: bytes | tuple[bytes, bytes]) -> None:
        if type(data) is tuple:
            self.writelines(data)
        else:
            self.write(data)  # type: ignore[arg-type]  # not a tuple, so bytes

    def sendfile(self, file: int, offset: int, size: int) -> int:
        if self._kept:
            self._fill()
            raise BlockingIOError
        try:
            sent = os.sendfile(self._fd, file, offset, min(size, POURED_BYTES))
        except BlockingIOError:
            self._fill()
            raise
        self._taken_bytes += sent
        if sent < size:
            self._fill()
        return sent

    def _keep(self, rest: memoryview) -> None:
        if self._kept is None:
            self._kept = WriteBuffer()
        self._kept.add(rest)
        if self._kept.size > HIGH_BYTES:
            self._fill()
        elif not self._events & WRITABLE:
            self._watch()

    def _fill(self) -> None:
        if not self._full:
            self._full = True
            self._watch()
            self._protocol.pause_writing()

    def _write_kept(self) -> None:
        kept = self._kept
        if kept:
            try:
                self._taken_bytes += kept.write_to(self._fd)
            except OSError as error:
                self._lose(error)
                return
        if not kept and self._closing:
            self._leave(None)
            return
        if not kept and self._shut:
            self._send_end()
        if self._full and self.get_write_buffer_size() <= LOW_BYTES:
            self._full = False
            self._protocol.resume_writing()

    def get_write_buffer_size(self) -> int:
        return 0 if self._kept is None else self._kept.size

    def get_write_progress(self) -> int | None:
        return self._taken_bytes if self._kept or self._full else None

    # Ends

    def write_eof(self) -> None:
        if not (self._closing or self._shut):
            self._shut = True
            if not self._kept:
                self._send_end()

    def _send_end(self) -> None:
        try:
            half_close(self._fd)
        except OSError as error:  # the client has reset it
            self._lose(error)

    def close(self) -> None:
        """End behind what is written."""
        if not self._closing:
            self._closing, self._reading = True, False
            if self._kept:
                self._watch()
            else:
                self._leave(None)

    def abort(self) -> None:
        """End at once."""
        self._lose(None)

    def is_closing(self) -> bool:
        return self._closing

    def _fail(self, error: Exception) -> None:
        """The protocol has raised this: that should not be, and costs one client its connection."""
        self._loop.call_exception_handler({"message": "a connection's protocol failed", "exception": error})
        self._lose(error)

    def _lose(self, error: Exception | None) -> None:
        if self._fd >= 0:
            self._closing, self._reading = True, False
            self._kept = None
            self._leave(error)

    def _leave(self, error: Exception | None) -> None:
        fd, self._fd = self._fd, -1
        self._full = False
        self._loop.call_soon(self._tell_end, error)
        if self._events:
            self._poller.watch(fd, self, self._events, 0)
            self._events = 0
        syscalls.close(fd)

    def _tell_end(self, error: Exception | None) -> None:
        protocol = self._protocol
        self._protocol = None  # type: ignore[assignment]  # is told nothing more; it knows this, and neither would go
        protocol.connection_lost(error)

    def fileno(self) -> int:
        """The descriptor; -1 once it is closed."""
        return self._fd

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """Of asyncio's names `sockname` alone, which is the address here."""
        if name != "sockname" or self._fd < 0:
            return default
        return own_name(self._fd)

    def set_protocol(self, protocol: Served) -> None:
        self._protocol = protocol
        if self._full:
            protocol.pause_writing()
