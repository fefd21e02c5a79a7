"""How a drain closes a WebSocket: when, and with which reason. No I/O: values alone.

Behind our close frame nothing can be answered (RFC 6455 section 5.5.1), so that what has come goes first: it is looked
at again shortly. While the application works at a message, as long as the drain lasts, as for a request; while it only
does not ask for messages, as one that only sends, for a second.
"""

from __future__ import annotations

from typing import Final

SERVICE_RESTART: Final = 1012
"""IANA's registry: "Service Restart"; clients are to connect again."""

RESTART_QUIET: Final = "service restart"
"""The reason when nothing is owed: what the peer has sent without an answer never reached the application."""

RESTART_OWING: Final = "service restart, messages may be unanswered"

LOOK_INTERVAL_S: Final = 0.05
PATIENCE_LOOKS: Final = 20
"""A drain's patience is counted in looks, of which each follows a turn of the loop, and not in time: what a worker
slept because the machine was busy is not the application's."""

FAREWELL_S: Final = 1.0
"""How long the peer may take to answer our close frame in a drain; chosen: as long as a half-closed one is read."""

FAREWELL_LAST_S: Final = 0.3
"""The same where no other worker follows, and the stop waits. Chosen: a peer that listens answers within a round trip,
and one that does not has the frame all the same."""


def reason(*, is_quiet: bool, owes: bool, looks: int) -> str | None:
    """The reason to close with now, None to look again; `looks` is how often it was looked before.

    `is_quiet` is whether the application waits for a message and none is on its way, `owes` whether it works at one.
    """
    if is_quiet:
        return RESTART_QUIET
    return None if owes or looks < PATIENCE_LOOKS else RESTART_OWING
