"""Threads that no Python code has begun: which library they are of, and whether that library can be forked.

The kernel tells a thread's name, which is that of the process unless somebody set it, and where its stack is. At the
upper end of a stack the C library keeps what the thread began with (glibc's struct pthread), and below it lie the
frames: the word nearest to the upper end that points into the code of a library, and not of the C library itself, is
the thread's own function. Where it cannot be told, the thread has its name alone.

Some pools end before a fork and begin anew when they are needed (pthread_atfork(3)). They are in POOLS, and believed
only after a trial: a fork, by the C library alone, whose child ends at once. Threads that are still there afterwards
are of no such pool. Rejected: to believe a library by its name, whose versions differ; a setting, which says no more
than the trial does; and trials of any library, whose handlers may wait for ever.
"""

from __future__ import annotations

import ctypes
import os
import select
import struct
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Final, NamedTuple

STACK_MAX: Final = 1 << 16
"""Bytes of a stack that are looked at, from its upper end. Chosen: a pool's idle thread uses few hundred."""
PATIENCE_S: Final = 0.5
"""For a thread to reach a system call, or to be gone. Chosen: both take microseconds where the machine is not busy."""
WORD: Final = struct.Struct("=Q")

NOT_TELLING: Final = ("libc.so", "libc-", "libpthread", "ld-linux", "ld-musl", "libpython", "python")
"""Whose code is on every thread's stack."""

REMEDIES: Final = {
    "openblas": "OPENBLAS_NUM_THREADS=1",
    "mkl": "MKL_NUM_THREADS=1",
    "gomp": "OMP_NUM_THREADS=1",
    "iomp": "OMP_NUM_THREADS=1",
    "libomp": "OMP_NUM_THREADS=1",
    "tbb": "TBB_NUM_THREADS=1",
    "polars": "POLARS_MAX_THREADS=1",
    "arrow": "ARROW_IO_THREADS=1 and OMP_NUM_THREADS=1",
}
"""The variable that has a library begin no threads, or fewer, by a part of its file's name."""
POOLS: Final = ("openblas",)
"""Whose threads end before a fork, measured: numpy 2 with OpenBLAS 0.3 (2026-11)."""


class Mapping(NamedTuple):
    """A line of /proc/PID/maps."""

    begin: int
    end: int
    is_code: bool
    path: str


def library_of(task: Path) -> str | None:
    """The file name of the library that a thread of this process runs in; None if it cannot be told."""
    try:
        _wait(lambda: (task / "syscall").read_text().strip() != "running")  # it has only just begun, or computes
        pointer = int((task / "syscall").read_text().split()[-2], 16)
        memory = list(_mappings((task.parent.parent / "maps").read_text("utf-8", "replace")))
        stack = next(one for one in memory if one.begin <= pointer < one.end)
        begin = max(pointer, stack.end - STACK_MAX)
        with open(task.parent.parent / "mem", "rb", buffering=0) as file:
            words = os.pread(file.fileno(), stack.end - begin, begin)
    except (OSError, ValueError, IndexError, StopIteration):
        return None
    code = [one for one in memory if one.is_code and one.path.startswith("/")]
    for (word,) in reversed(list(WORD.iter_unpack(words[: len(words) // 8 * 8]))):
        name = next((os.path.basename(one.path) for one in code if one.begin <= word < one.end), "")
        if name and not name.startswith(NOT_TELLING):
            return name
    return None


def _mappings(text: str) -> Iterator[Mapping]:
    for line in text.splitlines():
        span, rights, *rest = line.split(maxsplit=5)
        begin, end = span.split("-")
        yield Mapping(int(begin, 16), int(end, 16), "x" in rights, rest[3] if len(rest) > 3 else "")


def described(tasks: Iterable[Path]) -> list[str]:
    """These threads in words, those of one library together, with what would leave none."""
    found = Counter((library_of(task), (task / "comm").read_text("utf-8", "replace").strip()) for task in tasks)
    return [_words(library, name, times) for (library, name), times in found.items()]


def _words(library: str | None, name: str, times: int) -> str:
    threads = f"native thread {name!r}" if times == 1 else f"{times} native threads {name!r}"
    if library is None:
        return threads
    remedy = next((text for part, text in REMEDIES.items() if part in library.lower()), None)
    return f"{threads} of {library}" + (f" (start with {remedy})" if remedy else "")


def end_pools(tasks: Sequence[Path]) -> None:
    """Have the threads end whose pools do so before a fork, if all of these are of such pools."""
    libraries = [library_of(task) or "" for task in tasks]
    if not libraries or not all(any(pool in library.lower() for pool in POOLS) for library in libraries):
        return
    # The C library's fork, with none of Python's hooks: what the application registered is for its own forks.
    pid = ctypes.PyDLL(None).fork()
    if pid == 0:
        os._exit(0)
    if pid > 0:
        os.waitpid(pid, 0)
        _wait(lambda: not any(task.exists() for task in tasks))  # joined is not yet gone from /proc


def _wait(claim: Callable[[], bool]) -> None:
    """Until the claim holds, or PATIENCE_S have passed."""
    give_up_at = time.monotonic() + PATIENCE_S
    while not claim() and time.monotonic() < give_up_at:
        select.poll().poll(2)
