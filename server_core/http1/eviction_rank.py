"""Where an HTTP/1.1 connection stands in the table of those that are evicted (connection/eviction.py)."""

from __future__ import annotations

from typing import Final, NamedTuple

from server_core.connection.eviction import ANSWERED, FRESH, IDLE, NEVER, NEW_S, PARTING, SILENT, STUCK
from server_core.http1.stages import Stage

FRESH_S: Final = 2.0
"""A kept-alive client that has been answered so recently is about to go on. Chosen; no evidence."""

STUCK_S: Final = 0.25
"""No younger request is slow. Chosen: a round trip between continents."""


class Transferred(NamedTuple):
    """What a request's application waits for the client to take, or to send."""

    size: int
    """Bytes that have gone that way."""
    in_s: float
    """Since the request began."""


def eviction_rank(
    stage: Stage, since: float, now: float, *, is_untaken: bool = False, transferred: Transferred | None = None
) -> tuple[int, float]:
    """Which kind of the table it is, and by what the lowest of a kind gives way.

    `since` is when its stage began, `is_untaken` whether a part of a response waits for the client, `transferred` None
    unless the application does. A request that is stuck gives way by its bytes a second.
    """
    if stage is Stage.PARTING:
        return PARTING, since
    if stage is Stage.REQUEST:
        if transferred is None or transferred.in_s < STUCK_S:
            return NEVER, 0.0
        return STUCK, transferred.size / transferred.in_s
    if stage is Stage.DISCARDING or is_untaken:
        return ANSWERED, since
    if stage is Stage.IDLE:
        return (FRESH if now - since < FRESH_S else IDLE), since
    return (NEVER if now - since < NEW_S else SILENT), since
