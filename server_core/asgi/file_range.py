"""A stretch of a regular file that is to be sent: which one, checked, and how much of it is left. It never waits.

Reading a file blocks for as long as the disk takes; there is no other way for regular files that would not cost two
changes of thread for each part (see contrib/docs/ASGI.md).
"""

from __future__ import annotations

import io
import os
import stat
from collections.abc import Mapping
from typing import Protocol, cast

from server_core.asgi.response_states import ResponseError


class HasDescriptor(Protocol):
    """A file object over a descriptor of the system."""

    def fileno(self) -> int: ...

    def tell(self) -> int: ...

    def seek(self, offset: int, /) -> object: ...


class FilePart:
    """`left` bytes from `offset` of `descriptor`, which is closed by close(): a file's own, whoever gave it away."""

    __slots__ = ("_moves", "descriptor", "left", "moved_bytes", "offset")

    def __init__(self, descriptor: int, offset: int, left: int, moves: HasDescriptor | int | None = None) -> None:
        self.descriptor = descriptor
        self.offset = offset
        self.left = left
        self.moved_bytes = 0
        self._moves = moves

    def shorten(self, size: int) -> None:
        """No more than so many bytes are to be sent."""
        self.left = size

    def advance(self, size: int) -> None:
        """So many bytes have been sent; ResponseError if there were none, although some are left."""
        if not size:
            raise ResponseError(f"the file has become shorter by {self.left} bytes while it was sent")
        self.offset += size
        self.left -= size
        self.moved_bytes += size

    def read(self, limit: int) -> bytes:
        """The next bytes, at most `limit`; ResponseError if the file has become shorter or cannot be read."""
        try:
            data = os.pread(self.descriptor, min(self.left, limit), self.offset)
        except OSError as error:
            raise unreadable(error) from error
        self.advance(len(data))
        return data

    def close(self) -> None:
        """Give the descriptor back. A file that was read from its own position stands behind what was sent."""
        os.close(self.descriptor)
        if isinstance(self._moves, int):
            os.lseek(self._moves, self.offset, os.SEEK_SET)
        elif self._moves is not None:
            self._moves.seek(self.offset)


def open_path(path: object) -> FilePart:
    """The whole of a file (http.response.pathsend); ResponseError if it is none, or cannot be opened.

    An OSError out of send() means that the client is gone, and frameworks take it for that.
    """
    if not isinstance(path, (str, os.PathLike)):
        raise ResponseError(f"path: must be a str, not {path!r}")
    try:
        # without O_NONBLOCK the opening of a FIFO that nobody writes to would never return
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError as error:
        raise ResponseError(f"path: cannot open {os.fspath(path)!r}: {error.strerror}") from error
    try:
        return FilePart(descriptor, 0, _size(descriptor, f"path: {os.fspath(path)!r}"))
    except ResponseError:
        os.close(descriptor)
        raise


def take_file(message: Mapping[str, object]) -> FilePart:
    """What a http.response.zerocopysend names, on a descriptor of our own: the application may close its own."""
    file = message.get("file")
    if isinstance(file, io.TextIOBase) or not (isinstance(file, int) or hasattr(file, "fileno")):
        raise ResponseError(f"file: must be a binary file with a descriptor, not {file!r}")
    try:
        descriptor = os.dup(file if isinstance(file, int) else cast(HasDescriptor, file).fileno())
    except (OSError, ValueError) as error:  # a closed one, one that has no descriptor (BytesIO), or none is left for us
        raise ResponseError(f"file: must be a binary file with a descriptor, not {file!r} ({error})") from error
    try:
        size = _size(descriptor, "file")
        offset = _whole(message, "offset")
        count = _whole(message, "count")
        moves = cast("HasDescriptor | int", file) if offset is None else None
        if offset is None:
            offset = os.lseek(file, 0, os.SEEK_CUR) if isinstance(file, int) else cast(HasDescriptor, file).tell()
    except BaseException:  # whatever a file object's own tell() raises, too
        os.close(descriptor)
        raise
    rest = max(0, size - offset)
    return FilePart(descriptor, offset, rest if count is None else min(count, rest), moves)


def unreadable(error: OSError) -> ResponseError:
    """What to raise when the file fails that was to be sent: it is not the client that is gone."""
    return ResponseError(f"the file cannot be read: {error.strerror}")


def _size(descriptor: int, what: str) -> int:
    status = os.fstat(descriptor)
    if not stat.S_ISREG(status.st_mode):
        raise ResponseError(f"{what} must be a regular file")
    return status.st_size


def _whole(message: Mapping[str, object], name: str) -> int | None:
    value = message.get(name)
    if value is not None and (not isinstance(value, int) or value < 0):
        raise ResponseError(f"{name}: must be a whole number of bytes, not {value!r}")
    return value
