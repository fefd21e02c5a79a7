"""Deadlines of a WebSocket, and how a drain closes one: tables of values, without a connection."""

from __future__ import annotations

import pytest

from server_core.settings.declaration import ServerSettings
from server_core.websocket.dismissal import PATIENCE_LOOKS, RESTART_OWING, RESTART_QUIET, reason
from server_core.websocket.timeouts import CLOSE_TIMEOUT_S, CLOSING, ENDING, LOST, OPEN, PATIENCE_S, SHUT, Due, due

PINGS = ServerSettings(ws_ping_interval=20.0, ws_ping_timeout=5.0)
SILENCE = ServerSettings(ws_ping_interval=0.0, ws_ping_timeout=0.0)


@pytest.mark.parametrize(
    ("mode", "waited_s", "settings", "is_alive", "is_pinged", "expected"),
    [
        (OPEN, 0.0, PINGS, True, False, Due.RENEW),
        (OPEN, 99.0, PINGS, True, True, Due.RENEW),
        (OPEN, 19.9, PINGS, False, False, Due.NOTHING),
        (OPEN, 20.0, PINGS, False, False, Due.PING),
        (OPEN, 4.9, PINGS, False, True, Due.NOTHING),
        (OPEN, 5.0, PINGS, False, True, Due.GIVE_UP),
        (OPEN, 1e9, SILENCE, False, False, Due.NOTHING),
        (OPEN, 1e9, SILENCE, False, True, Due.NOTHING),
        (ENDING, PATIENCE_S, PINGS, True, False, Due.NOTHING),
        (ENDING, PATIENCE_S + 0.1, PINGS, True, False, Due.PART),
        (CLOSING, CLOSE_TIMEOUT_S, PINGS, True, False, Due.NOTHING),
        (CLOSING, CLOSE_TIMEOUT_S + 0.1, PINGS, True, False, Due.ABORT),
        (SHUT, 1e9, PINGS, False, True, Due.NOTHING),
        (LOST, 1e9, PINGS, False, True, Due.NOTHING),
    ],
)
def test_what_is_due(
    mode: int, waited_s: float, settings: ServerSettings, is_alive: bool, is_pinged: bool, expected: Due
) -> None:
    assert due(mode, waited_s, settings, is_alive=is_alive, is_pinged=is_pinged) is expected


@pytest.mark.parametrize(
    ("is_quiet", "owes", "looks", "expected"),
    [
        (True, False, 0, RESTART_QUIET),
        (True, False, 1000, RESTART_QUIET),
        (False, False, 0, None),
        (False, False, PATIENCE_LOOKS - 1, None),
        (False, False, PATIENCE_LOOKS, RESTART_OWING),
        (False, True, 1000, None),
    ],
)
def test_the_reason_of_a_drains_close(is_quiet: bool, owes: bool, looks: int, expected: str | None) -> None:
    assert reason(is_quiet=is_quiet, owes=owes, looks=looks) == expected
