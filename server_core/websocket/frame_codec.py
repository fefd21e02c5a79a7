"""The seam after the handshake: what a frame machine takes and gives. No I/O, no asyncio, no ASGI.

A machine tells whole messages to the callable it was made with, in the order of the bytes, and answers what a peer is
owed (pongs, the close frame) by itself: its answers are what receive() returns.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, Protocol

Deliver = Callable[["bytes | str"], None]
Out = bytes | tuple[bytes, bytes]
"""What goes out; a pair where joining it would copy more than a second buffer costs."""


class Ended(NamedTuple):
    """How the peer's half ended: its close frame, or the rule it broke."""

    code: int
    """The close code: the peer's, 1005 if its close frame held none, or the one it was failed with."""
    reason: str


class FrameMachine(Protocol):
    """One WebSocket connection's frames, from the end of the handshake."""

    ended: Ended | None
    """Set once nothing more will be read: write what receive() returned, then close."""

    def receive(self, data: bytes) -> bytes:
        """Read on; what to write in answer."""

    def message(self, data: bytes | str) -> Out:
        """One whole message as a frame: text for str, binary for bytes."""

    def ping(self) -> bytes:
        """A ping."""

    def close(self, code: int, reason: str) -> bytes:
        """Our close frame, or nothing if there was one already; only the peer's close frame is of interest then."""
