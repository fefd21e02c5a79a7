"""`wsgi.file_wrapper`: a file as a response's body, sent by the kernel where it can be (sendfile(2)).

The file's descriptor is copied, and what is left to send is the event loop's: the application has returned by then, its
file is closed, and a client that takes a large file slowly holds no thread. What is no regular file is read in parts.
"""

from __future__ import annotations

import io
import tempfile
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
        file = _plain(self._file)
        if file is None:
            return None
        try:
            message = {"file": file, "offset": file.tell()}
            if length >= 0:
                message["count"] = length
            return take_file(message)
        except (OSError, ValueError, ResponseError):  # closed, no regular file, no position
            return None


def _plain(file: Any) -> io.FileIO | io.BufferedReader | io.BufferedRandom | None:
    """The file whose bytes `file.read()` gives, unchanged; None if it may give others.

    PEP 3333, "Optional Platform-Specific File Handling": the response is what iter(file.read, b"") would give. A
    descriptor does not say so: the files of gzip, bz2 and lzma have that of the compressed file, and so has one that
    decrypts, or counts, and passes everything else on. So it goes by whom the method belongs to: Django's File and the
    like pass it on as it is.
    """
    if type(file) is tempfile._TemporaryFileWrapper:
        file = file.file  # NamedTemporaryFile()'s, which wraps each method
    owner = getattr(getattr(file, "read", None), "__self__", None)
    if type(owner) is io.BufferedReader or type(owner) is io.BufferedRandom:
        return owner if type(owner.raw) is io.FileIO else None
    return owner if type(owner) is io.FileIO else None
