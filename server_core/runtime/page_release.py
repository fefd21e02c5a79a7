"""Give back the memory of files that this process has only read: libraries' code that ran once, at their import.

Such pages are the kernel's copy of the file, which it keeps or drops as it likes; a process that has them mapped tells
it that they are in use. A template has run its imports and will never run them again, and what it maps no worker gets
from it: fork(2) leaves pages of files to be mapped anew. 4 to 7 MB of its PSS are such pages if it has imported the
application (FastAPI: libssl, pydantic's and uvloop's libraries; Linux 6.18). Whatever is needed after all is mapped
again, without the disk if the kernel still has it.
"""

from __future__ import annotations

import ctypes
import mmap
import re
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

MAPS: Final = Path("/proc/self/smaps")

_HEAD: Final = re.compile(r"([0-9a-f]+)-([0-9a-f]+) (\S{4}) \S+ \S+ (\d+)\s")
"""The first line of an area, proc_pid_maps(5): its bounds, what may be done with it, the file's inode (0: no file)."""


def unchanged_areas(lines: Iterable[str]) -> Iterator[tuple[int, int]]:
    """(address, bytes) of each private area of a file that cannot be written to and has no page of our own.

    madvise(2): MADV_DONTNEED drops changed pages, too, such as relocated ones (RELRO). `Anonymous` counts these.
    """
    area: tuple[int, int] | None = None
    for line in lines:
        head = _HEAD.match(line)
        if head is not None:
            first, last = int(head[1], 16), int(head[2], 16)
            is_wanted = head[3][1] == "-" and head[3][3] == "p" and head[4] != "0"
            area = (first, last - first) if is_wanted else None
        elif area is not None and line.startswith("Anonymous:") and line.split()[1] == "0":
            yield area


def shed() -> int:
    """Give back what can be; the bytes of all areas that were tried, mapped or not. Linux; elsewhere nothing is done.

    No other thread may run: what it wrote between the look and the deed would be lost.
    """
    if sys.platform != "linux":
        return 0
    libc = ctypes.CDLL(None, use_errno=True)
    tried = 0
    try:
        areas = list(unchanged_areas(MAPS.read_text("utf-8", "replace").splitlines()))
    except OSError:  # /proc is not there, or hidden from us: nothing is gained, and nothing lost
        return 0
    for address, size in areas:
        libc.madvise(
            ctypes.c_void_p(address), ctypes.c_size_t(size), mmap.MADV_DONTNEED
        )  # EINVAL if it is locked: so be it
        tried += size
    return tried
