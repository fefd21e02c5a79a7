"""Request fields that are left out for the `_` in their names: the log tells each name once.

Without that, an operator looks for a missing field in the proxy and in the application. A client can make up names
without end, so that a worker keeps and tells a few only.
"""

from __future__ import annotations

from typing import Final

from server_core.http1.field_names import LONGEST
from server_core.log import Log

MOST_TOLD: Final = 32
"""Names that one worker tells. Chosen: an application misses fewer, and a client fills no log with so many."""


class DroppedNames:
    """What one worker has told."""

    def __init__(self, log: Log) -> None:
        self._log = log
        self._told: set[bytes] = set()

    def tell(self, name: bytes) -> None:
        """Log a name, in lower case, unless it has been told or too many have."""
        name = name[:LONGEST]
        if name in self._told or len(self._told) >= MOST_TOLD:
            return
        self._told.add(name)
        self._log(
            "field.dropped",
            name=name.decode("latin-1"),
            setting="underscore-headers",
            value="drop",
            is_last=len(self._told) == MOST_TOLD,
        )
