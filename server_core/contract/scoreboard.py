"""The layout of a worker's record and of the table of loads; pure. figures.py has the numbers in a record.

Record.  record_fd is a file of RECORD_FILE_BYTES that only this worker and the master hold; it cannot be made shorter
or longer. loads_fd is a table that all workers share, and that the master does not read; it may hold anything.

Beats.  A worker's event loop stores the monotonic instant in its scoreboard record about once a second, and a second
thread does the same in a field of its own. The master reads them only when a deadline comes, so a beat costs neither
side a system call, and an idle master sleeps. Silence of the loop alone: the loop is blocked. Silence of both: the
interpreter is held by C code, or the process is stopped (then the kernel says so).

Stacks.  On STACKS_SIGNAL the worker's faulthandler writes the stacks of all threads behind its record, even while C
code holds the interpreter. It is installed before `booted` is sent, never sooner. The master sets the place: both share
the offset of record_fd, and nothing but stacks is written by write(2) there.
"""

from __future__ import annotations

import signal
import struct
from typing import Final, NamedTuple

STACKS_SIGNAL: Final[int] = signal.SIGRTMIN + 1 if hasattr(signal, "SIGRTMIN") else signal.SIGUSR2
"""A real-time signal where there is one: applications use SIGUSR1 and SIGUSR2 for themselves."""


class InFlight(NamedTuple):
    """One request that a worker has not finished; `started_at` is a monotonic instant in seconds."""

    started_at: float
    method: str
    path: str


SLOTS_MAX: Final = 4096
"""Slots there can be, and entries in the table of loads, which is sparse: a page is used when its slots are."""

RECORD_BYTES: Final = 8192
"""Bytes of one worker's record: the figures (figures.py), then the in-flight table."""

STACKS_OFFSET: Final = RECORD_BYTES

STACKS_BYTES: Final = 65536
"""Room for stacks behind the record. faulthandler stops at 100 threads of 100 frames each, which can be more: the first
threads tell the story."""

RECORD_FILE_BYTES: Final = STACKS_OFFSET + STACKS_BYTES

IN_FLIGHT_OFFSET: Final = 1024

IN_FLIGHT_ENTRY: Final = struct.Struct("=d12s172s")

IN_FLIGHT_MAX: Final = (RECORD_BYTES - IN_FLIGHT_OFFSET) // IN_FLIGHT_ENTRY.size
"""Requests told one by one; how many there are in all is in Figures.in_flight."""

LOAD: Final = struct.Struct("=qd")
"""One worker's entry in the table of loads, which the workers read of each other: its connections + 1, or 0 if it does
not accept; and its loop's last beat. Entry 0 is the master's: the highest slot that was ever in use, and nothing."""

LOADS_BYTES: Final = SLOTS_MAX * LOAD.size


def load_offset(slot: int) -> int:
    """Where a slot's entry in the table of loads begins."""
    return slot * LOAD.size


def pack_in_flight(entries: list[InFlight]) -> bytes:
    """The in-flight table, oldest first as given; a zero instant ends it, long paths are cut."""
    packed = b"".join(
        IN_FLIGHT_ENTRY.pack(
            entry.started_at, entry.method.encode("latin-1", "replace"), entry.path.encode("utf-8", "replace")
        )
        for entry in entries[:IN_FLIGHT_MAX]
    )
    return packed.ljust(IN_FLIGHT_MAX * IN_FLIGHT_ENTRY.size, b"\0")


def unpack_in_flight(record: bytes) -> list[InFlight]:
    """The in-flight table of a whole record."""
    entries: list[InFlight] = []
    for index in range(IN_FLIGHT_MAX):
        started_at, method, path = IN_FLIGHT_ENTRY.unpack_from(record, IN_FLIGHT_OFFSET + index * IN_FLIGHT_ENTRY.size)
        if started_at == 0.0:
            break
        entries.append(
            InFlight(
                started_at,
                method.rstrip(b"\0").decode("latin-1"),
                path.rstrip(b"\0").decode("utf-8", "replace"),
            )
        )
    return entries
