"""The master's side of the scoreboard: a record for each worker process, read when asked. Host side.

A figure that is being written while it is read may be one of the two values, never a third: the writer stores aligned
eight-byte words. What cannot be true all the same is not passed on (record_check.py), and told once of each worker.

The table of loads is the one file that all workers share: each tells the others how many connections it has
(server_core/listen/fair_accept.py). What it holds decides only how long a worker waits before it accepts, 5 ms at most;
the master does not read it.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from functools import reduce

from server_core.contract.figures import Figures, add_sums
from server_core.contract.scoreboard import LOAD, LOADS_BYTES, SLOTS_MAX, InFlight, load_offset
from server_core.records import dataclass
from supervisor_d import clock
from supervisor_d.host.observation.record_check import Known, check_figures, check_in_flight
from supervisor_d.host.observation.worker_record import WorkerRecord, anonymous_file, store
from supervisor_d.vocabulary import Generation, Slot


@dataclass(slots=True)
class Entry:
    """One slot's record, and what of it was sound when it was read last."""

    record: WorkerRecord
    generation: Generation
    since: float
    last: Figures
    is_refused: bool = False


class Scoreboard:
    """A record for each slot that is in use; `loads_fd` is inherited by all workers.

    `refused` is called with a slot, and what its record said, once for each process whose record cannot be true.
    """

    def __init__(self, refused: Callable[[Slot, str], None] = lambda *_: None) -> None:
        self.loads_fd = anonymous_file("loads", LOADS_BYTES)
        self.retired = Figures()
        self._refused = refused
        self._entries: dict[Slot, Entry] = {}
        self._highest = 0

    def renew(self, slot: Slot, generation: Generation) -> int:
        """A new record for the process that is to be spawned in the slot; the descriptor that it inherits, not owned.

        Raises OSError; ValueError if there can be no such slot.
        """
        if not 0 <= slot < SLOTS_MAX:
            raise ValueError(f"slot: must be from 0 to {SLOTS_MAX - 1}, not {slot}")
        record = WorkerRecord(f"worker-{slot}")
        self._forget(slot)
        self._entries[slot] = Entry(record, generation, clock.now(), Figures())
        store(self.loads_fd, LOAD.pack(0, 0.0), load_offset(slot))
        if slot > self._highest:
            self._highest = slot
        store(self.loads_fd, LOAD.pack(self._highest, 0.0), load_offset(Slot(0)))
        return record.fd

    def figures(self, slot: Slot) -> Figures:
        """What the slot's worker has stored; of a number that cannot be true the last one that could."""
        entry = self._entries.get(slot)
        if entry is None:
            return Figures()
        fault = self._read(entry)
        self._tell_once(slot, entry, fault)
        return entry.last

    def total(self, slots: Iterable[Slot]) -> Figures:
        """The sums of these slots' workers, and of all that are gone."""
        return reduce(add_sums, map(self.figures, slots), self.retired)

    def in_flight(self, slot: Slot) -> list[InFlight]:
        """The requests the worker last said it had not finished, oldest first."""
        entry = self._entries.get(slot)
        if entry is None:
            return []
        stored = entry.record.in_flight()
        sound, fault = check_in_flight(stored, clock.now())
        self._tell_once(slot, entry, fault)
        return sound

    def blank_stacks(self, slot: Slot) -> None:
        """Make room for the stacks that the slot's worker is about to be asked for."""
        if slot in self._entries:
            self._entries[slot].record.blank_stacks()

    def stacks(self, slot: Slot) -> str:
        """The stacks that were written since; nothing if the worker could not."""
        return self._entries[slot].record.stacks() if slot in self._entries else ""

    def retire(self, slot: Slot) -> None:
        """Add the counters of a process that is gone to `retired`, so that totals never fall."""
        entry = self._entries.get(slot)
        if entry is None:
            return
        self._read(entry)
        self.retired = add_sums(self.retired, entry.last)
        self._forget(slot)
        store(self.loads_fd, LOAD.pack(0, 0.0), load_offset(slot))

    def close(self) -> None:
        for slot in tuple(self._entries):
            self._forget(slot)
        os.close(self.loads_fd)

    def _read(self, entry: Entry) -> str | None:
        """Read the figures; what was wrong with them, if it was still so at a second look."""
        for _ in range(2):
            stored = entry.record.figures()
            checked = check_figures(stored, Known(clock.now(), entry.since, entry.generation, entry.last))
            if checked.fault is None:
                break
        entry.last = checked.figures
        return checked.fault

    def _tell_once(self, slot: Slot, entry: Entry, fault: str | None) -> None:
        if fault is not None and not entry.is_refused:
            entry.is_refused = True
            self._refused(slot, fault)

    def _forget(self, slot: Slot) -> None:
        entry = self._entries.pop(slot, None)
        if entry is not None:
            entry.record.close()
