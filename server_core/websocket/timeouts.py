"""The deadlines of a WebSocket: what is due of it, by its mode and how long it has waited. Values alone."""

from __future__ import annotations

from enum import Enum, auto
from typing import Final

from server_core.settings.declaration import ServerSettings

OPEN, ENDING, CLOSING, SHUT, LOST = range(5)
"""A connection's mode. In between, ENDING: the peer's half has ended, CLOSING: ours."""

CLOSE_TIMEOUT_S: Final = 10.0
"""How long the peer may take to answer our close frame. Precedent: websockets' close_timeout."""

PATIENCE_S: Final = 1.0
"""How long an application may take for its last answers when the peer's half has ended. Chosen; no evidence: answering
takes well under a second, and one that never waits for messages must not hold up the end."""


class Due(Enum):
    """What is to be done."""

    NOTHING = auto()
    RENEW = auto()
    """It lives: a next silence begins."""
    PING = auto()
    GIVE_UP = auto()
    """It does not answer a ping."""
    PART = auto()
    ABORT = auto()


def due(mode: int, waited_s: float, settings: ServerSettings, *, is_alive: bool, is_pinged: bool) -> Due:
    """What is due of a connection; `waited_s` is since its mode began, or since its last sign of life or ping.

    `is_alive`: any byte is a sign of life, and while we do not read, silence means nothing.
    """
    if mode == ENDING:
        return Due.PART if waited_s > PATIENCE_S else Due.NOTHING
    if mode == CLOSING:
        return Due.ABORT if waited_s > CLOSE_TIMEOUT_S else Due.NOTHING
    if mode != OPEN:
        return Due.NOTHING
    if is_alive:
        return Due.RENEW
    interval, timeout = settings.ws_ping_interval, settings.ws_ping_timeout
    if not is_pinged:
        return Due.PING if interval and waited_s >= interval else Due.NOTHING
    return Due.GIVE_UP if timeout and waited_s >= timeout else Due.NOTHING
