"""What a worker in trouble was doing: stacks, requests in flight, figures; kept and told. Host side.

The list of requests in flight is as old as `in_flight_age_s` says. A worker whose loop is blocked keeps it current by
its second thread. While C code holds the interpreter no thread can, so the list is that of the loop's last beat: a
request that came after it, perhaps the very one, is not there, but its frames are in the stacks. Rejected: storing each
request as it begins, which every request would pay for.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterator, Mapping
from typing import Final

from supervisor_d import clock
from supervisor_d.host.journal.event_ring import timestamp
from supervisor_d.host.observation.scoreboard import Scoreboard
from supervisor_d.host.processes.process_table import Child
from supervisor_d.log import Log

INCIDENTS_KEPT: Final = 100
"""Chosen: more than a person reads, and at most a few megabytes of stacks."""


class Incidents:
    """The last incidents, oldest first; each is also an event of the log."""

    def __init__(self, scoreboard: Scoreboard, log: Log) -> None:
        self._scoreboard = scoreboard
        self._log = log
        self._kept: deque[Mapping[str, object]] = deque(maxlen=INCIDENTS_KEPT)
        self._recorded = 0

    def record(
        self, child: Child, kind: str, silent_s: float, stacks: str | None = None, reason: str | None = None
    ) -> Mapping[str, object]:
        """Put together what is known now, keep it and tell it. `stacks` come from the worker's record if not given."""
        self._recorded += 1
        now = clock.now()
        in_flight = [
            {"method": request.method, "path": request.path, "age_s": round(max(0.0, now - request.started_at), 3)}
            for request in self._scoreboard.in_flight(child.slot)
        ]
        if stacks is None:
            stacks = self._scoreboard.stacks(child.slot)
        figures = self._scoreboard.figures(child.slot)
        listed_at = figures.thread_beat_at if kind == "loop_blocked" else figures.loop_beat_at
        age_s = round(max(0.0, now - listed_at), 3) if listed_at else None
        incident: Mapping[str, object] = {
            "id": self._recorded,
            "at": timestamp(),
            "slot": child.slot,
            "pid": child.pid,
            "generation": child.generation,
            "kind": kind,
            **({"reason": reason} if reason else {}),
            "silent_s": round(silent_s, 3),
            "in_flight": in_flight,
            "in_flight_age_s": age_s,
            "figures": figures._asdict(),
            "stacks": stacks,
        }
        self._kept.append(incident)
        told = {name: incident[name] for name in incident if name not in ("id", "at", "figures")}
        self._log("worker.dumped" if kind == "dump" else "worker.hung", **told, incident=self._recorded)
        return incident

    def record_fault(self, what: str, error: str, traceback: str) -> None:
        """Keep a failure of the master's own work: of no slot, and with the traceback in place of stacks."""
        self._recorded += 1
        self._kept.append(
            {
                "id": self._recorded,
                "at": timestamp(),
                "slot": None,
                "pid": os.getpid(),
                "generation": None,
                "kind": "master_fault",
                "reason": f"{what}: {error}",
                "silent_s": 0.0,
                "in_flight": [],
                "in_flight_age_s": None,
                "figures": {},
                "stacks": traceback,
            }
        )

    def __iter__(self) -> Iterator[Mapping[str, object]]:
        return iter(tuple(self._kept))

    def __len__(self) -> int:
        return len(self._kept)
