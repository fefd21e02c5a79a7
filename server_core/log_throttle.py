"""Something that goes on for a while, however often it happens, and is worth one line of the log."""

from __future__ import annotations

from time import monotonic
from typing import Final

QUIET_S: Final = 10.0
"""After so long without it, the next time begins a new episode. Chosen; no evidence: an attack goes on for longer."""


class LogThrottle:
    """Whether the log has been told."""

    __slots__ = ("_last_at",)

    def __init__(self) -> None:
        self._last_at = float("-inf")

    def begins(self) -> bool:
        """To be called each time it happens; True if that is to be told."""
        now = monotonic()
        last_at, self._last_at = self._last_at, now
        return now - last_at > QUIET_S
