"""This worker's record in the scoreboard: one memory that the master reads whenever it likes.

Storing there costs no system call and outlives the process, so the last beat of a dead worker and the requests it had
in flight can still be told. There is one writer per record. Its two threads never store to the same bytes but for
the in-flight table, where one slice assignment (a memcpy while the interpreter lock is held) is whole or not there.
"""

from __future__ import annotations

import mmap

from server_core.contract import (
    FIGURES,
    IN_FLIGHT_OFFSET,
    INSTANT,
    LOOP_BEAT_OFFSET,
    RECORD_BYTES,
    THREAD_BEAT_OFFSET,
    Figures,
    InFlight,
    pack_figures,
    pack_in_flight,
    record_offset,
)
from server_core.errors import ContractError

_AFTER_BEATS = THREAD_BEAT_OFFSET + INSTANT.size


class Scoreboard:
    """One record, mapped. Without a supervisor it is private memory: the same stores, and nobody reads them."""

    def __init__(self, memory: mmap.mmap, start: int) -> None:
        self._memory = memory
        self._start = start
        self._has_in_flight = False

    @staticmethod
    def shared(fd: int, slot: int) -> Scoreboard:
        """The slot's record of the scoreboard behind `fd`, emptied of what the slot's last worker left there."""
        offset = record_offset(slot)
        start = offset % mmap.ALLOCATIONGRANULARITY  # 0 but where pages are larger than a record (16 or 64 KiB)
        try:
            memory = mmap.mmap(fd, start + RECORD_BYTES, offset=offset - start)
        except (OSError, ValueError) as error:
            raise ContractError(f"spec: scoreboard_fd {fd} has no record of slot {slot}: {error}") from error
        memory[start : start + RECORD_BYTES] = bytes(RECORD_BYTES)
        return Scoreboard(memory, start)

    @staticmethod
    def private() -> Scoreboard:
        # Private, unlike mmap's default: a process that the application forks must not write to it.
        return Scoreboard(mmap.mmap(-1, RECORD_BYTES, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS), 0)

    def beat_loop(self, now: float) -> None:
        INSTANT.pack_into(self._memory, self._start + LOOP_BEAT_OFFSET, now)

    def beat_thread(self, now: float) -> None:
        INSTANT.pack_into(self._memory, self._start + THREAD_BEAT_OFFSET, now)

    def loop_beat_at(self) -> float:
        (instant,) = INSTANT.unpack_from(self._memory, self._start + LOOP_BEAT_OFFSET)
        return float(instant)

    def store_figures(self, figures: Figures) -> None:
        """Store all but the two instants of beats, which their own threads store."""
        packed = pack_figures(figures)
        start = self._start
        self._memory[start : start + LOOP_BEAT_OFFSET] = packed[:LOOP_BEAT_OFFSET]
        self._memory[start + _AFTER_BEATS : start + FIGURES.size] = packed[_AFTER_BEATS:]

    def store_in_flight(self, entries: list[InFlight]) -> None:
        """Store the table; an empty one over an empty one costs nothing."""
        if not entries and not self._has_in_flight:
            return
        self._has_in_flight = bool(entries)
        start = self._start + IN_FLIGHT_OFFSET
        packed = pack_in_flight(entries)
        self._memory[start : start + len(packed)] = packed

    def close(self) -> None:
        self._memory.close()
