"""`wsgi.file_wrapper`: a file as a response's body, sent by the kernel where it can be (sendfile(2)).

The file's descriptor is copied, and what is left to send is the event loop's: the application has returned by then, its
file is closed, and a client that takes a large file slowly holds no thread. What is no regular file is read in parts.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from server_core.asgi.file_range import FilePart, take_file
from server_core.asgi.response_states import ResponseError

PART_BYTES: Final = 65536


class FileWrapper:
    """An iterable of a file's parts, of `block_size` bytes each; it is closed with the file."""

    __slots__ = ("_block_size", "_file")

    def __init__(self, file: Any, block_size: int = PART_BYTES) -> None:
        self._file = file
        self._block_size = block_size

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        part: bytes = self._file.read(self._block_size)
        if not part:
            raise StopIteration
        return part

    def close(self) -> None:
        close = getattr(self._file, "close", None)
        if close is not None:
            close()

    def part(self, length: int) -> FilePart | None:
        """The rest of the file, no more than `length` bytes unless that is -1; None if it must be read."""
        try:
            message = {"file": self._file, "offset": self._file.tell()}
            if length >= 0:
                message["count"] = length
            return take_file(message)
        except (AttributeError, OSError, ValueError, ResponseError):  # no descriptor, no regular file, no position
            return None
