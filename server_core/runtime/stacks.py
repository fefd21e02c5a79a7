"""What the threads of this process are in, read by one of them while the others go on.

`sys._current_frames()` gives frames of threads that run: their `f_back` leads into memory that the interpreter may have
given to something else by then. In CPython 3.11 that was a crash, or any object in place of a frame (CPython issue
99110, and `'dict' object has no attribute 'f_globals'` in a test of ours). faulthandler reads all stacks in C without
giving up the interpreter, so that no thread moves meanwhile.
"""

from __future__ import annotations

import faulthandler
import os
import re
import traceback
from typing import Final

_THREAD: Final = re.compile(r"(?:Current thread|Thread) 0x([0-9a-f]+)")
_FILE: Final = '  File "'


def of_threads() -> dict[int, traceback.StackSummary]:
    """The stacks by the threads' identifiers (threading.get_ident()), outermost call first, as `traceback` has them.

    Of at most 100 threads, the newest, and of the 100 innermost calls of each: faulthandler's bounds. Costs a few
    system calls. Empty where there is no descriptor to be had.
    """
    stacks: dict[int, list[traceback.FrameSummary]] = {}
    calls: list[traceback.FrameSummary] = []
    for line in _text().splitlines():
        if thread := _THREAD.match(line):
            calls = stacks.setdefault(int(thread[1], 16), [])
        elif line.startswith(_FILE):
            calls.append(_call(line))
    return {thread: traceback.StackSummary.from_list(calls[::-1]) for thread, calls in stacks.items()}


def _call(line: str) -> traceback.FrameSummary:
    """One line of faulthandler's. From the right, since a file may have any name; the number is ??? if it has none."""
    path, _, rest = line.removeprefix(_FILE).rpartition('", line ')
    number, _, name = rest.partition(" in ")
    return traceback.FrameSummary(path, int(number) if number.isdecimal() else None, name, lookup_line=False)


def _text() -> str:
    try:
        fd = os.memfd_create("stacks")
    except OSError:
        return ""
    try:
        faulthandler.dump_traceback(fd, all_threads=True)
        return os.pread(fd, os.fstat(fd).st_size, 0).decode("utf-8", "replace")
    finally:
        os.close(fd)
