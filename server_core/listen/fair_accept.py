"""Who holds how many connections: what lets a worker leave the next one to somebody who has fewer.

Workers share their listeners, and all of them wake up for a new connection. The fastest one to accept would be the
busiest one as often as not, because its loop is turning already. So a worker that holds a few connections more than
the least loaded one waits a moment, in proportion, before it accepts; by then the others have had their chance. It
never waits for longer than that: a connection that nobody else has taken is its own.

Where the queue is long, a quarter of it is dealt out first, in thought: a worker is not ahead before it has its even
share of that. Without it 256 clients that came at once to busy workers were accepted by threes, with a turn of a loop
or a pause for each, and waited twice as long as with a socket for each worker (python -m tests.bench.steady). With half
of the queue, or all of it, the last worker to wake up found too few: the busiest of four had 30 or 36 % of 64, not 27.

Counted are only workers that accept and whose loop beats: a hung one with few connections must not slow the others.

The table is the one memory that all workers share, so that each must bear with garbage in it: what cannot be a load, or
beats in the future, does not count, a worker's own load is not read back, and all that the others' can do is a pause.

Rejected: SO_REUSEPORT, where a connection belongs to a worker before it is accepted, so that it waits behind a slow
one and is reset when that one ends; EPOLLEXCLUSIVE alone, which at low rates wakes the same worker each time.
"""

from __future__ import annotations

import mmap
import time
from collections.abc import Callable
from typing import Final

from server_core.contract.scoreboard import LOAD, LOADS_BYTES, SLOTS_MAX
from server_core.errors import ContractError

PAUSE_S: Final = 0.0005
"""Waited for each connection by which a worker is too far ahead."""

PAUSE_MAX_S: Final = 0.005
"""Both measured elsewhere: 64 connections at once come to 16 each on 4 workers, 7 % slower than a greedy accept."""

AT_ONCE: Final = 16
"""Most connections that are accepted before the loop turns, and others are served. Chosen: they take about 1 ms. One a
turn cost a worker alone 145 us of CPU time for each connection, 16 cost 79 (python -m tests.bench --loads
new-connection, both versions in turn, uvloop 0.23)."""

AHEAD: Final = 3
"""Connections by which a worker may be ahead of the least loaded other one before it waits. Measured with 4 workers,
python -m tests.bench.fairness: with one accept a turn and no lead at all new connections came in at 0.72 of the rate of
workers that do not share, with this at 0.90; the busiest had 27 % of 64 at once in both cases."""

STALE_BEATS: Final = 2
"""Beats after which a worker is taken for hung, as in heartbeat.SILENT_BEATS: one may be late on a busy machine."""

LOAD_LIMIT: Final = 1 << 30
"""No process holds so many connections (proc(5), fs.nr_open): an entry beyond is garbage."""


class FairAccept:
    """The table of all workers' loads, and this worker's entry in it, which only this worker's loop writes."""

    __slots__ = ("_beat_at", "_memory", "_offset", "_slot", "_stale_s", "_told")

    def __init__(self, memory: mmap.mmap, slot: int, beat_s: float) -> None:
        self._memory = memory
        self._slot = slot
        self._offset = slot * LOAD.size
        self._stale_s = STALE_BEATS * beat_s
        self._beat_at = 0.0
        self._told = 0

    @staticmethod
    def shared(fd: int, slot: int, beat_s: float) -> FairAccept:
        """The table behind `fd`; ContractError if there is none."""
        if not 0 < slot < SLOTS_MAX:
            raise ContractError(f"spec: slot must be from 1 to {SLOTS_MAX - 1}, not {slot}")
        try:
            memory = mmap.mmap(fd, LOADS_BYTES)
        except (OSError, ValueError) as error:
            raise ContractError(f"spec: loads_fd {fd} holds no table of loads: {error}") from error
        return FairAccept(memory, slot, beat_s)

    def store(self, connections: int) -> None:
        """Tell the others how many connections this worker holds, and that it accepts."""
        if connections + 1 != self._told:
            self._told = connections + 1
            LOAD.pack_into(self._memory, self._offset, connections + 1, self._beat_at)

    def withdraw(self) -> None:
        """Tell the others that this worker accepts no more."""
        self._told = 0
        LOAD.pack_into(self._memory, self._offset, 0, self._beat_at)

    def beat(self, now: float) -> None:
        """The loop turns; `now` is time.monotonic's."""
        self._beat_at = now
        LOAD.pack_into(self._memory, self._offset, self._told, now)

    def lead(self, waiting: Callable[[], int] | None = None) -> int | None:
        """How many connections more than the least loaded other worker this one holds; None if nobody else accepts.

        `waiting` tells the length of the queue: what an even share of a quarter of it is more than AHEAD is taken off.
        """
        entries = self._entries()
        if entries == 2 and self._slot == 1:
            return None  # the only one
        own = self._told
        now = time.monotonic()
        fresh_at = now - self._stale_s
        least = others = 0
        # The first entry is the master's: see contract.LOAD
        for slot, (load, beat_at) in enumerate(LOAD.iter_unpack(self._memory[LOAD.size : entries * LOAD.size]), 1):
            if 0 < load < LOAD_LIMIT and fresh_at < beat_at <= now and slot != self._slot:
                others += 1
                if load < least or not least:
                    least = load
        if not others or not own:
            return None
        shared = 0 if waiting is None else max(0, waiting() // (4 * others + 4) - AHEAD)
        return own - least - shared

    def close(self) -> None:
        self._memory.close()

    def _entries(self) -> int:
        highest, _ = LOAD.unpack_from(self._memory, 0)
        return max(0, min(int(highest), SLOTS_MAX - 1)) + 1


def pause_s(lead: int | None) -> float:
    """How long a worker with this lead leaves the next connection to others."""
    return min(PAUSE_MAX_S, PAUSE_S * (lead - AHEAD + 1)) if lead is not None and lead >= AHEAD else 0.0


def share(lead: int | None) -> int:
    """How many a worker with this lead takes at once: until it has caught up with the others, and is as far ahead."""
    return AT_ONCE if lead is None else max(1, min(AT_ONCE, AHEAD - lead))
