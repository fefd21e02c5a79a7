"""A file into a connection, without its bytes passing through Python where the kernel can do that.

The transport asks the kernel for it (transport/socket_transport.py), and is full as long as that has not taken all. It
goes on reading meanwhile, so that a client that goes away is heard of.

TLS encrypts in user space, and its transport has no sendfile(), as some file systems have none: then parts are read and
written.
"""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING, Final

from server_core.asgi.file_range import FilePart, unreadable

if TYPE_CHECKING:
    from server_core.asgi.http_exchange import Exchange
    from server_core.http1.interface import ResponseStream

COPY_BYTES: Final = 65536
"""What is read at once where it is copied: the transport's high-water mark."""

_NO_SENDFILE: Final = frozenset((errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOTSOCK))
"""This file, or this transport, is none for sendfile(2)."""

_GONE: Final = frozenset((errno.EPIPE, errno.ECONNRESET, errno.ENOTCONN, errno.ETIMEDOUT, errno.ECONNABORTED))


class FileTransfer:
    """One file on its way into one response. What stands before it has been written when this has been made."""

    __slots__ = ("_behind", "_exchange", "_is_copied", "_more", "_part", "_stream")

    def __init__(self, stream: ResponseStream, exchange: Exchange, part: FilePart, more: bool) -> None:
        writer = stream.writer
        was_held, keeps = writer.is_held, False
        if was_held and stream.head is not None and stream.head.rules.keep_alive:
            keeps = stream.connection.may_keep()
        before, size, behind = writer.span(part.left, more, exchange.line, keeps, stream.shared.defaults)
        if was_held:
            stream.server.responses[exchange.status] += 1
        part.shorten(size)
        self._stream = stream
        self._exchange = exchange
        self._part = part
        self._more = more
        self._behind = behind
        self._is_copied = False
        """Whether it must be read and written."""
        stream.flush()
        if before:
            stream.write(before)

    def flow(self) -> bool:
        """Move what can be moved now. True if that was not all: the exchange will be woken when there is more to do."""
        if not self._part.left:
            return False
        if self._stream.transport.is_closing():
            return True  # the loop's next round tells that the connection is lost
        return self._copy() if self._is_copied else self._send()

    def _send(self) -> bool:
        part, transport = self._part, self._stream.transport
        try:
            sent = transport.sendfile(part.descriptor, part.offset, part.left)
        except BlockingIOError:
            return True
        except OSError as error:
            if error.errno in _GONE:
                transport.abort()
                return True
            if error.errno not in _NO_SENDFILE:
                raise unreadable(error) from error
            self._is_copied = True
            return self._copy()
        part.advance(sent)
        return part.left > 0

    def _copy(self) -> bool:
        stream, part = self._stream, self._part
        while part.left:
            if stream.is_full():
                return True
            stream.transport.write(part.read(COPY_BYTES))
        return False

    def finish(self) -> None:
        """The file is written: write what stands behind it."""
        if self._behind:
            self._stream.write(self._behind)
        if not self._more:
            self._stream.connection.complete(self._exchange)
