"""Refused control requests as log lines, and no more of them than leave room for everything else. Host side."""

from __future__ import annotations

from typing import Final

from supervisor_d import clock
from supervisor_d.control.messages import Refused
from supervisor_d.control.peer import Peer
from supervisor_d.log import Log

REFUSALS_LOGGED: Final = 20
REFUSALS_PERIOD_S: Final = 60.0
"""So many refusals are logged in a period, so that garbage cannot push everything else out of the ring. Chosen."""


class RefusalLog:
    """Writes the first refusals of each period, and says when it stops."""

    def __init__(self, log: Log) -> None:
        self._log = log
        self._refusals = 0
        self._until = 0.0

    def write(self, refused: Refused, peer: Peer) -> None:
        now = clock.now()
        if now >= self._until:
            self._refusals, self._until = 0, now + REFUSALS_PERIOD_S
        self._refusals += 1
        if self._refusals > REFUSALS_LOGGED:
            return
        rest = "; no more of these will be logged for a while" if self._refusals == REFUSALS_LOGGED else ""
        self._log(
            "control.refused",
            status=refused.status,
            reason=f"{refused.reason}{rest}",
            peer_pid=peer.pid,
            peer_uid=peer.uid,
        )
