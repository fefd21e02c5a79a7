"""A file into a connection, without its bytes passing through Python where the kernel can do that.

The stream asks the kernel for it (transport/socket_transport.py), and is full as long as that has not taken all. It
goes on reading meanwhile, so that a client that goes away is heard of.

TLS encrypts in user space: there, and where a file system knows no sendfile(), parts are read and written.
"""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING, Final, cast

from server_core.asgi.file_range import FilePart, unreadable
from server_core.http1.keep_alive import keeps

if TYPE_CHECKING:
    from server_core.asgi.http_exchange import Exchange
    from server_core.http1.interface import HttpConnection
    from server_core.transport.socket_transport import SocketTransport

COPY_BYTES: Final = 65536
"""What is read at once where it is copied: the transport's high-water mark."""

_NO_SENDFILE: Final = frozenset((errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOTSOCK))
"""This file, or this socket, is none for sendfile(2)."""

_GONE: Final = frozenset((errno.EPIPE, errno.ECONNRESET, errno.ENOTCONN, errno.ETIMEDOUT, errno.ECONNABORTED))


class FileTransfer:
    """One file on its way into one response. What stands before it has been written when this has been made."""

    __slots__ = ("_behind", "_connection", "_exchange", "_more", "_part", "_stream")

    def __init__(self, connection: HttpConnection, exchange: Exchange, part: FilePart, more: bool) -> None:
        server, writer = connection.server, connection.writer
        was_held = writer.is_held
        before, size, behind = writer.span(
            part.left, more, exchange.line, keeps(connection), connection.shared.defaults
        )
        if was_held:
            server.responses[exchange.status] += 1
        part.left = size
        self._connection = connection
        self._exchange = exchange
        self._part = part
        self._more = more
        self._behind = behind
        self._stream = None if connection.ending.is_tls else cast("SocketTransport", connection.transport)
        """Who has the kernel send it; None where it must be read and written."""
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
        return self._copy() if self._stream is None else self._send(self._stream)

    def _send(self, stream: SocketTransport) -> bool:
        part = self._part
        try:
            sent = stream.send_file(part.descriptor, part.offset, part.left)
        except BlockingIOError:
            return True
        except OSError as error:
            if error.errno in _GONE:
                stream.abort()
                return True
            if error.errno not in _NO_SENDFILE:
                raise unreadable(error) from error
            self._stream = None
            return self._copy()
        part.advance(sent)
        self._connection.progress.unpoured_bytes = part.left
        return part.left > 0

    def _copy(self) -> bool:
        connection, part = self._connection, self._part
        while part.left:
            if connection.is_full():
                return True
            connection.transport.write(part.read(COPY_BYTES))
            connection.progress.unpoured_bytes = part.left
        return False

    def close(self) -> None:
        """To be called in any case; ends what is under way."""
        self._connection.progress.unpoured_bytes = 0

    def finish(self) -> None:
        """The file is written and this is closed: write what stands behind it."""
        if self._behind:
            self._connection.write(self._behind)
        if not self._more:
            self._connection.complete(self._exchange)
