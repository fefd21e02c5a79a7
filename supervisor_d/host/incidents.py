"""What a worker in trouble was doing: stacks, requests in flight, figures; kept and told. Host side.

The list of requests in flight is as old as `in_flight_age_s` says. A worker whose loop is blocked keeps it current by
its second thread. While C code holds the interpreter no thread can, so the list is that of the loop's last beat: a
request that came after it, perhaps the very one, is not there, but its frames are in the stacks. Rejected: storing each
request as it begins, which every request would pay for.
"""

from __future__ import annotations

import fcntl
import os
from collections import deque
from collections.abc import Iterator, Mapping
from typing import Final

from supervisor_d import clock
from supervisor_d.host.children import Child
from supervisor_d.host.event_ring import timestamp
from supervisor_d.host.scoreboard import Scoreboard, anonymous_file
from supervisor_d.log import Log
from supervisor_d.vocabulary import Slot

INCIDENTS_KEPT: Final = 100
"""Chosen: more than a person reads, and at most a few megabytes of stacks."""

STACKS_LIMIT_BYTES: Final = 65536
"""faulthandler stops at 100 threads of 100 frames each, which can be more; the first threads tell the story."""


class Stacks:
    """A file for each slot into which its worker's faulthandler writes; outlives the worker."""

    def __init__(self) -> None:
        self._files: dict[Slot, int] = {}

    def blank(self, slot: Slot) -> int:
        """The slot's file, emptied. Writing appends, so that master and worker need not agree on an offset."""
        if slot not in self._files:
            file = anonymous_file(f"stacks-{slot}")
            fcntl.fcntl(file, fcntl.F_SETFL, fcntl.fcntl(file, fcntl.F_GETFL) | os.O_APPEND)
            self._files[slot] = file
        os.ftruncate(self._files[slot], 0)
        return self._files[slot]

    def read(self, slot: Slot) -> str:
        """What was written since the file was emptied; nothing if the worker could not."""
        if slot not in self._files:
            return ""
        return os.pread(self._files[slot], STACKS_LIMIT_BYTES, 0).decode("utf-8", "backslashreplace")

    def close(self) -> None:
        for file in self._files.values():
            os.close(file)
        self._files.clear()


class Incidents:
    """The last incidents, oldest first; each is also an event of the log."""

    def __init__(self, scoreboard: Scoreboard, stacks: Stacks, log: Log) -> None:
        self._scoreboard = scoreboard
        self._stacks = stacks
        self._log = log
        self._kept: deque[Mapping[str, object]] = deque(maxlen=INCIDENTS_KEPT)
        self._recorded = 0

    def record(self, child: Child, kind: str, silent_s: float) -> Mapping[str, object]:
        """Put together what is known now, keep it and tell it."""
        self._recorded += 1
        now = clock.now()
        in_flight = [
            {"method": request.method, "path": request.path, "age_s": round(max(0.0, now - request.started_at), 3)}
            for request in self._scoreboard.in_flight(child.slot)
        ]
        stacks = self._stacks.read(child.slot)
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
            "silent_s": round(silent_s, 3),
            "in_flight": in_flight,
            "in_flight_age_s": age_s,
            "figures": figures._asdict(),
            "stacks": stacks,
        }
        self._kept.append(incident)
        self._log(
            "worker.dumped" if kind == "dump" else "worker.hung",
            slot=child.slot,
            pid=child.pid,
            generation=child.generation,
            kind=kind,
            silent_s=round(silent_s, 3),
            incident=self._recorded,
            in_flight=in_flight,
            in_flight_age_s=age_s,
            stacks=stacks,
        )
        return incident

    def __iter__(self) -> Iterator[Mapping[str, object]]:
        return iter(tuple(self._kept))

    def __len__(self) -> int:
        return len(self._kept)
