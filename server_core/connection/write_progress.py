"""Whether a client keeps up: takes what is written for it, and sends what is waited for."""

from __future__ import annotations


class Progress:
    """Whether a client takes what is written for it, and sends what is waited for."""

    __slots__ = ("_body_began_at", "_body_waited_s", "_stalled_at", "_taken_bytes", "unpoured_bytes", "written_bytes")

    def __init__(self, now: float) -> None:
        self.written_bytes = 0
        self.unpoured_bytes = 0
        """Of those, bytes of a file that no transport has seen, because the kernel is to take them from the file."""
        self._taken_bytes = 0
        self._stalled_at = now
        self._body_began_at = self._body_waited_s = 0.0

    def is_stalled(self, now: float, waiting_bytes: int, timeout: float) -> bool:
        """Whether bytes have waited for `timeout` and none of them was taken."""
        waiting_bytes += self.unpoured_bytes
        taken = self.written_bytes - waiting_bytes
        if not waiting_bytes or taken != self._taken_bytes:
            self._taken_bytes = taken
            self._stalled_at = now
            return False
        return now - self._stalled_at > timeout

    def waited_s(self, began_at: float, after_s: float) -> float:
        """How long the body of the request that began then was waited for, `after_s` being added."""
        if began_at != self._body_began_at:
            self._body_began_at = began_at
            self._body_waited_s = 0.0
        self._body_waited_s += after_s
        return self._body_waited_s
