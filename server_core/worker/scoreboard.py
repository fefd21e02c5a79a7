"""This worker's record in the scoreboard: one memory that the master reads whenever it likes.

Storing there costs no system call and outlives the process, so the last beat of a dead worker and the requests it had
in flight can still be told. There is one writer per record. Its two threads never store to the same bytes but for
the in-flight table, where one slice assignment (a memcpy while the interpreter lock is held) is whole or not there.
"""

from __future__ import annotations

import mmap

from server_core.contract.figures import FIGURES, INSTANT, LOOP_BEAT_OFFSET, THREAD_BEAT_OFFSET, Figures, pack_figures
from server_core.contract.scoreboard import IN_FLIGHT_OFFSET, RECORD_BYTES, InFlight, pack_in_flight
from server_core.errors import ContractError

_AFTER_BEATS = THREAD_BEAT_OFFSET + INSTANT.size


class Scoreboard:
    """One record, mapped. Without a supervisor it is private memory: the same stores, and nobody reads them."""

    def __init__(self, memory: mmap.mmap) -> None:
        self._memory = memory
        self._has_in_flight = False

    @staticmethod
    def shared(fd: int) -> Scoreboard:
        """The record behind `fd`; ContractError if there is none."""
        try:
            memory = mmap.mmap(fd, RECORD_BYTES)
        except (OSError, ValueError) as error:
            raise ContractError(f"spec: record_fd {fd} holds no record: {error}") from error
        return Scoreboard(memory)

    @staticmethod
    def private() -> Scoreboard:
        # Private, unlike mmap's default: a process that the application forks must not write to it.
        return Scoreboard(mmap.mmap(-1, RECORD_BYTES, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS))

    def beat_loop(self, now: float) -> None:
        INSTANT.pack_into(self._memory, LOOP_BEAT_OFFSET, now)

    def beat_thread(self, now: float) -> None:
        INSTANT.pack_into(self._memory, THREAD_BEAT_OFFSET, now)

    def loop_beat_at(self) -> float:
        (instant,) = INSTANT.unpack_from(self._memory, LOOP_BEAT_OFFSET)
        return float(instant)

    def store_figures(self, figures: Figures) -> None:
        """Store all but the two instants of beats, which their own threads store."""
        packed = pack_figures(figures)
        self._memory[:LOOP_BEAT_OFFSET] = packed[:LOOP_BEAT_OFFSET]
        self._memory[_AFTER_BEATS : FIGURES.size] = packed[_AFTER_BEATS:]

    def store_in_flight(self, entries: list[InFlight]) -> None:
        """Store the table; an empty one over an empty one costs nothing."""
        if not entries and not self._has_in_flight:
            return
        self._has_in_flight = bool(entries)
        packed = pack_in_flight(entries)
        self._memory[IN_FLIGHT_OFFSET : IN_FLIGHT_OFFSET + len(packed)] = packed

    def close(self) -> None:
        self._memory.close()
