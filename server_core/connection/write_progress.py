"""Whether a client keeps up: takes what is written for it, and sends what is waited for."""

from __future__ import annotations


class Progress:
    """Whether a client takes what is written for it, and sends what is waited for."""

    __slots__ = ("_body_began_at", "_body_waited_s", "_stalled_at", "_taken_bytes")

    def __init__(self, now: float) -> None:
        self._taken_bytes = -1
        self._stalled_at = now
        self._body_began_at = self._body_waited_s = 0.0

    def is_stalled(self, now: float, taken_bytes: int | None, timeout: float) -> bool:
        """Whether bytes have waited for `timeout` and none of them was taken (Transport.get_write_progress())."""
        if taken_bytes is None or taken_bytes != self._taken_bytes:
            self._taken_bytes = -1 if taken_bytes is None else taken_bytes
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
