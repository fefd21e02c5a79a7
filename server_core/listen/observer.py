"""What the listeners ask of the count of connections: the seam between accepting and the limits."""

from __future__ import annotations

import socket
from typing import Protocol

from server_core.listen.pending_connection import PendingConnection


class Crowd(Protocol):
    """Who watches over all that come; it may hold accepting, and releases it again."""

    def come(self, fd: int) -> None:
        """A connection was accepted, and has this descriptor."""

    def fail(self, error: OSError, retry_s: float) -> None:
        """No connection could be accepted; NO_DESCRIPTOR is held for so long."""

    def settle(self, arrival: PendingConnection) -> None:
        """A socket has become a connection, or is closed."""

    def close(self) -> None:
        """The listeners are closed, all of them."""

    def abandon(self, listener: socket.socket, waiting: int) -> None:
        """So many are still in this queue, which is closed now."""
