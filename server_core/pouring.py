"""A file into a connection, without its bytes passing through Python where the kernel can do that.

uvloop has no loop.sendfile(), and no loop lets anybody watch the descriptor of a transport. So it is duplicated: the
duplicate is the same socket under a number that the loop does not know. It may be written to only while the transport
has nothing left to write, which is what a high-water mark of 0 tells: resume_writing() then means "empty". The
transport goes on reading meanwhile, so that a client that goes away is heard of.

TLS encrypts in user space: there, and where a file system knows no sendfile(), parts are read and written.
"""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING, Final

from server_core.ending import keeps
from server_core.http.file_part import FilePart, unreadable

if TYPE_CHECKING:
    from server_core.connection import Connection
    from server_core.http.exchange import Exchange

SLICE_BYTES: Final = 1 << 20
"""What one sendfile() is asked for: then the loop has a turn. A socket's buffer is seldom larger. Chosen."""

COPY_BYTES: Final = 65536
"""What is read at once where it is copied: the transport's high-water mark."""

_NO_SENDFILE: Final = frozenset((errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOTSOCK))
"""This file, or this socket, is none for sendfile(2)."""

_GONE: Final = frozenset((errno.EPIPE, errno.ECONNRESET, errno.ENOTCONN, errno.ETIMEDOUT, errno.ECONNABORTED))


class Pour:
    """One file on its way into one response. What stands before it has been written when this has been made."""

    __slots__ = ("_behind", "_connection", "_exchange", "_more", "_part", "_socket")

    def __init__(self, connection: Connection, exchange: Exchange, part: FilePart, more: bool) -> None:
        server, writer = connection.server, connection.writer
        was_held = writer.is_held
        before, size, behind = writer.span(part.left, more, exchange.line, keeps(connection), server.defaults)
        if was_held:
            server.responses[exchange.status // 100] += 1
        part.left = size
        self._connection = connection
        self._exchange = exchange
        self._part = part
        self._more = more
        self._behind = behind
        self._socket = _duplicate(connection) if size else -1
        connection.progress.written_bytes += size
        connection.progress.unpoured_bytes = size
        connection.flush()
        if before:
            connection.write(before)

    def flow(self) -> bool:
        """Move what can be moved now. True if that was not all: the exchange will be woken when there is more to do."""
        connection = self._connection
        if not self._part.left:
            return False
        if connection.transport.is_closing():
            return True  # the loop's next round tells that the connection is lost
        if self._socket < 0:
            return self._copy()
        if connection.transport.get_write_buffer_size():
            return True
        return self._send()

    def _send(self) -> bool:
        part = self._part
        try:
            sent = os.sendfile(self._socket, part.descriptor, part.offset, min(part.left, SLICE_BYTES))
        except BlockingIOError:
            self._connection.server.loop.add_writer(self._socket, self._writable)
            return True
        except OSError as error:
            if error.errno in _GONE:
                self._connection.transport.abort()
                return True
            if error.errno not in _NO_SENDFILE:
                raise unreadable(error) from error
            self._release()
            return self._copy()
        part.advance(sent)
        self._connection.progress.unpoured_bytes = part.left
        if part.left:
            self._connection.server.loop.add_writer(self._socket, self._writable)
        return part.left > 0

    def _writable(self) -> None:
        self._connection.server.loop.remove_writer(self._socket)
        self._exchange.wake()

    def _copy(self) -> bool:
        connection, part = self._connection, self._part
        while part.left:
            if connection.is_full():
                return True
            connection.transport.write(part.read(COPY_BYTES))
            connection.progress.unpoured_bytes = part.left
        return False

    def _release(self) -> None:
        """Leave the socket to its transport again."""
        if self._socket >= 0:
            self._connection.server.loop.remove_writer(self._socket)
            os.close(self._socket)
            self._socket = -1
            if not self._connection.transport.is_closing():
                self._connection.transport.set_write_buffer_limits()

    def close(self) -> None:
        """To be called in any case; ends what is under way."""
        self._release()
        self._connection.progress.unpoured_bytes = 0

    def finish(self) -> None:
        """The file is written and this is closed: write what stands behind it."""
        if self._behind:
            self._connection.write(self._behind)
        if not self._more:
            self._connection.complete(self._exchange)


def _duplicate(connection: Connection) -> int:
    """The connection's socket once more, or -1 if what is written to it must pass through the transport."""
    sock = connection.transport.get_extra_info("socket")
    if connection.ending.is_tls or sock is None or sock.fileno() < 0:
        return -1
    try:
        duplicate = os.dup(sock.fileno())
    except OSError:  # no descriptor is left for it (EMFILE): copying needs none
        return -1
    connection.transport.set_write_buffer_limits(high=0)
    return duplicate
