"""`wsgi.input`: a request's body as PEP 3333 has it read, over any source of bytes. It ends where the body does.

What is read is a source's affair (blocking, limits, deadlines, 100 Continue); this is only the arithmetic of lines and
sizes. No byte is copied more often than a part is cut: a line of a thousand parts is joined once.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, Protocol

PART_BYTES: Final = 65536
"""Asked of the source at once where the application sets no bound. The server holds as much of a body."""


class Source(Protocol):
    """Where a body comes from."""

    def take(self, limit: int) -> bytes:
        """1 to `limit` bytes, waiting for them; nothing at the end. OSError if the body will not become whole."""


class Input:
    """A body to be read once, from the beginning to the end."""

    __slots__ = ("_at", "_held", "_source")

    def __init__(self, source: Source) -> None:
        self._source = source
        self._held = b""
        """What came behind the end of a line, from `_at` on."""
        self._at = 0

    def read(self, size: int | None = -1, /) -> bytes:
        """`size` bytes, fewer only at the end of the body; all that is left without a size."""
        wanted = -1 if size is None else size
        if wanted == 0:
            return b""
        first = self._take(wanted if wanted > 0 else PART_BYTES)
        if len(first) == wanted or not first:
            return first
        parts, left = [first], wanted - len(first)
        while wanted < 0 or left > 0:
            part = self._take(left if wanted > 0 else PART_BYTES)
            if not part:
                break
            parts.append(part)
            left -= len(part)
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def readline(self, size: int | None = -1, /) -> bytes:
        """One line with its end, the last one perhaps without; of a longer one `size` bytes."""
        left = -1 if size is None else size
        parts: list[bytes] = []
        while left:
            part = self._take(left if left > 0 else PART_BYTES)
            if not part:
                break
            end = part.find(b"\n") + 1
            if end:
                self._give_back(part, end)
                parts.append(part[:end])
                break
            parts.append(part)
            left -= len(part) if left > 0 else 0
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def readlines(self, hint: int | None = -1, /) -> list[bytes]:
        """All lines that are left; with a hint no more once they have so many bytes together."""
        lines: list[bytes] = []
        total = 0
        for line in self:
            lines.append(line)
            total += len(line)
            if hint is not None and 0 < hint <= total:
                break
        return lines

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        line = self.readline()
        if not line:
            raise StopIteration
        return line

    def _take(self, limit: int) -> bytes:
        held = self._held
        if not held:
            return self._source.take(limit)
        end = self._at + limit
        part = held[self._at : end]
        if end >= len(held):
            self._held, self._at = b"", 0
        else:
            self._at = end
        return part

    def _give_back(self, part: bytes, start: int) -> None:
        """Keep what stands behind `start` of the part that was taken last."""
        if self._held:  # the part was cut out of what is held, which goes on behind it
            self._at -= len(part) - start
        elif start < len(part):
            self._held, self._at = part, start
