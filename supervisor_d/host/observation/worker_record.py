"""One worker process's own file: its scoreboard record, and the stacks that it is asked for. Host side.

Each process has a new one, which only it and the master hold, so that no worker can write into another's; and it is
sealed (fcntl(2), F_ADD_SEALS), so that a worker cannot cut it off or let it grow. Rejected: one file for all workers,
which any of them could truncate: the others die by SIGBUS at their next beat.

Read with pread(2) rather than through a map: the master does not read often, and a map would have to be kept for each.
What a worker stored is not believed here; record_check.py judges it.
"""

from __future__ import annotations

import fcntl
import mmap
import os
import sys
from typing import Final

from server_core.contract.figures import Figures, unpack_figures
from server_core.contract.scoreboard import (
    RECORD_BYTES,
    RECORD_FILE_BYTES,
    STACKS_BYTES,
    STACKS_OFFSET,
    InFlight,
    unpack_in_flight,
)

BLANK_STACKS: Final = bytes(STACKS_BYTES)


def anonymous_file(name: str, size: int) -> int:
    """A file of this size that has no place on any disk, and whose size cannot be changed; else a temporary one.

    Where there is no memfd_create(2) (not Linux) it is an unlinked file, and not sealed. Raises OSError.
    """
    if sys.platform != "linux":
        import tempfile  # here, because where it is not needed it brings 0.4 MB of random, shutil and the compressors

        with tempfile.TemporaryFile() as file:
            file.truncate(size)
            return os.dup(file.fileno())
    fd = os.memfd_create(name, os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    try:
        os.ftruncate(fd, size)
        # SEAL_SEAL: else a worker could forbid the master to write (F_SEAL_FUTURE_WRITE).
        fcntl.fcntl(fd, fcntl.F_ADD_SEALS, fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SEAL)
    except BaseException:  # closes it and raises it again, whatever it is
        os.close(fd)
        raise
    return fd


def store(fd: int, data: bytes, offset: int) -> None:
    """Write into a file that anonymous_file() made, whatever a worker has done to the descriptor. Raises OSError.

    Its flags are those of all processes that inherited it (fcntl(2), F_SETFL): with O_APPEND pwrite(2) writes behind
    the end, whatever the offset (its BUGS), and the seal forbids that. A map does not go by them; it is not used
    always, since it takes a descriptor (mmap duplicates it) and three more system calls. Rejected: to take the flag
    back, which a thread of the worker sets again meanwhile.
    """
    try:
        os.pwrite(fd, data, offset)
    except PermissionError:
        with mmap.mmap(fd, 0) as memory:
            memory[offset : offset + len(data)] = data


class WorkerRecord:
    """Owns the master's descriptor of one worker's file; `fd` is inherited by that worker."""

    def __init__(self, name: str) -> None:
        self.fd = anonymous_file(name, RECORD_FILE_BYTES)
        os.lseek(self.fd, STACKS_OFFSET, os.SEEK_SET)

    def figures(self) -> Figures:
        """The figures as they are stored, whatever they are."""
        return unpack_figures(self._read())

    def in_flight(self) -> list[InFlight]:
        """The table of requests as it is stored, whatever it holds."""
        return unpack_in_flight(self._read())

    def blank_stacks(self) -> None:
        """Empty the place for stacks. The worker writes where the offset stands, which its descriptor shares."""
        store(self.fd, BLANK_STACKS, STACKS_OFFSET)
        os.lseek(self.fd, STACKS_OFFSET, os.SEEK_SET)

    def stacks(self) -> str:
        """What was written since they were blanked; nothing if the worker could not."""
        written = os.pread(self.fd, STACKS_BYTES, STACKS_OFFSET).partition(b"\0")[0]
        return written.decode("utf-8", "backslashreplace")

    def close(self) -> None:
        os.close(self.fd)

    def _read(self) -> bytes:
        return os.pread(self.fd, RECORD_BYTES, 0).ljust(RECORD_BYTES, b"\0")
