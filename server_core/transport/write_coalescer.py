"""What is written to one connection shortly after another, written together: one write(2) costs more than most of it.

A part of a long response waits until the loop has turned once, so never for anything but for what the application sends
without waiting for anything itself; a whole response, behind which the next request of a pipeline waits, until that one
could have been answered. Both wait only until there is enough. Whoever writes something else, or ends the connection,
writes what waits first.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from server_core.runtime.server_loop import ServerLoop

ENOUGH_BYTES: Final = 16384
"""Parts are written when they come to this size, and a larger part at once: then a copy costs more than a call.
Chosen. A response of a hundred parts of 1 KiB cost a third of what it did in a hundred writes (python -m tests.bench
--loads chunked: 1,116 and 360 us, on a busy machine)."""


ONE_TURN: Final = 1
NEXT_ANSWER: Final = 3
"""Turns of the loop that what is added may wait. In the first the next request is read, in the second its application
takes its first step, and one that waits for nothing has answered; the third is the look whether it has."""


class WriteCoalescer:
    """What waits to be written to one connection."""

    __slots__ = ("_bytes", "_loop", "_parts", "_turns", "_write")

    def __init__(self, loop: ServerLoop, write: Callable[[bytes], None]) -> None:
        self._loop = loop
        self._write = write
        self._parts: list[bytes] = []
        self._bytes = 0
        self._turns = 0
        """How often the loop turns before what waits is written."""

    def add(self, part: bytes, turns: int = ONE_TURN) -> None:
        """Write this now, or when the loop has turned so often."""
        if not self._parts:
            if len(part) >= ENOUGH_BYTES:
                self._write(part)
                return
            if not self._turns:
                self._loop.call_soon(self._turn)
        self._turns = turns
        self._parts.append(part)
        self._bytes += len(part)
        if self._bytes >= ENOUGH_BYTES:
            self.flush()

    def _turn(self) -> None:
        self._turns -= 1
        if self._turns > 0 and self._parts:
            self._loop.call_soon(self._turn)
        else:
            self._turns = 0
            self.flush()

    def flush(self) -> None:
        """Write what waits."""
        if self._parts:
            self._write(self.take())

    def take(self) -> bytes:
        """What waits, which is not written here any more."""
        parts, self._parts, self._bytes = self._parts, [], 0
        return b"".join(parts)
