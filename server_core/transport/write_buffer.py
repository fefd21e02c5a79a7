"""What a transport could not write yet, in its order, and its way into the kernel.

Rare: most clients take all at once.
"""

from __future__ import annotations

from collections import deque
from itertools import islice
from os import writev
from typing import Final

PARTS: Final = 64
"""Buffers given to one writev(2); IOV_MAX is 1024 on Linux, and the kernel takes seldom more than one."""


HIGH_BYTES: Final = 65536
LOW_BYTES: Final = 16384
"""When a transport becomes full, and stops being so. Precedent: asyncio's, the same."""


class WriteBuffer:
    """Bytes that wait; false when there are none. Not copied: what is added must not be changed afterwards."""

    __slots__ = ("_parts", "size")

    def __init__(self) -> None:
        self._parts: deque[memoryview] = deque()
        self.size = 0
        """In bytes."""

    def __bool__(self) -> bool:
        return self.size > 0

    def add(self, rest: memoryview) -> None:
        """Keep these behind all others."""
        self._parts.append(rest)
        self.size += len(rest)

    def write_to(self, fd: int) -> int:
        """Write as much as a descriptor that does not block takes, and say how much that was.

        OSError as of writev(2), but not that it is full.
        """
        before = self.size
        try:
            while self.size:
                self._drop(writev(fd, list(islice(self._parts, PARTS))))
        except BlockingIOError:
            pass
        return before - self.size

    def _drop(self, sent: int) -> None:
        parts = self._parts
        self.size -= sent
        while sent:
            part = parts[0]
            if sent < len(part):
                parts[0] = part[sent:]
                return
            sent -= len(part)
            parts.popleft()
