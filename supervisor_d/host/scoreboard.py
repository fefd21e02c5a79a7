"""The master's side of the scoreboard: records are cleared, read when asked, and outlive their writers. Host side.

Read with pread(2) rather than through a map: reading a hole in a map would give it a page, and the master does not
read often. A figure that is being written while it is read may be one of the two values, never a third: the writer
stores aligned eight-byte words.
"""

from __future__ import annotations

import os

from server_core.contract import (
    LATENCY_BOUNDS_S,
    LOAD,
    RECORD_BYTES,
    SCOREBOARD_BYTES,
    Figures,
    InFlight,
    load_offset,
    record_offset,
    unpack_figures,
    unpack_in_flight,
)
from supervisor_d.vocabulary import Slot

BLANK = bytes(RECORD_BYTES)
COUNTERS = tuple(
    number
    for number, name in enumerate(Figures._fields)
    if name.endswith(("_total", "_sum_s")) or name.startswith("responses_")
)


def anonymous_file(name: str) -> int:
    """A new file that has no place on any disk where memfd_create(2) is known, else an unlinked temporary one."""
    if hasattr(os, "memfd_create"):
        return os.memfd_create(name, os.MFD_CLOEXEC)
    import tempfile  # here, because where it is not needed it brings 0.4 MB of random, shutil and the compressors

    with tempfile.TemporaryFile() as file:
        return os.dup(file.fileno())


class Scoreboard:
    """One file with a record for every slot; `fd` is inherited by the workers."""

    def __init__(self) -> None:
        self.fd = anonymous_file("scoreboard")
        os.ftruncate(self.fd, SCOREBOARD_BYTES)
        self.retired = Figures()
        self._highest = 0

    def clear(self, slot: Slot) -> None:
        """Blank the slot's record and its load; before a process is spawned, and after it is gone."""
        os.pwrite(self.fd, BLANK, record_offset(slot))
        os.pwrite(self.fd, LOAD.pack(0, 0.0), load_offset(slot))
        if slot > self._highest:
            self._highest = slot
            os.pwrite(self.fd, LOAD.pack(slot, 0.0), load_offset(Slot(0)))

    def figures(self, slot: Slot) -> Figures:
        return unpack_figures(self._record(slot))

    def in_flight(self, slot: Slot) -> list[InFlight]:
        """The requests the worker last said it had not finished, oldest first."""
        return unpack_in_flight(self._record(slot))

    def retire(self, slot: Slot) -> None:
        """Add the counters of a process that is gone to `retired`, so that totals never fall."""
        retired, gone = list(self.retired[:-1]), self.figures(slot)
        for index in COUNTERS:
            retired[index] += gone[index]  # type: ignore[operator]  # the counters are the numbers
        latency = [self.retired.latency[bucket] + gone.latency[bucket] for bucket in range(len(LATENCY_BOUNDS_S) + 1)]
        self.retired = Figures._make([*retired, tuple(latency)])
        self.clear(slot)

    def close(self) -> None:
        os.close(self.fd)

    def _record(self, slot: Slot) -> bytes:
        return os.pread(self.fd, RECORD_BYTES, record_offset(slot)).ljust(RECORD_BYTES, b"\0")
