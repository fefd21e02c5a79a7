"""Keep what a response frees in the process, for the next one.

glibc gives the top of the heap back to the kernel as soon as 128 KiB of it are free, and takes it again with the next
large response: a page fault for each 4 KiB. Whether that happens depends on what happens to lie at the top: of equal
starts, half had 5 to 7 faults for each response of 100 KiB, the others one in ten. `python -m tests.bench.earlier`,
load chunked, told a tree with it 0.94 and without it 1.04 of the same earlier one (CPython 3.11, glibc 2.36).
mallopt(3): once a block has been freed that was mapped by itself, blocks up to its size come from the heap, and twice
its size may be free at the top.
"""

from __future__ import annotations

from typing import Final

LARGEST_KEPT: Final = 1 << 20
"""Bytes. Twice as many stay with an idle process at most. It covers what one turn writes for a connection; a response
that is larger is mapped by itself, and its size is the new bound, as it always was."""


def keep_freed_memory() -> None:
    """Call it before serving; what is forked later has it, too. Without effect on C libraries other than glibc."""
    bytes(LARGEST_KEPT)  # calloc(3) maps it, and no page of it is touched
