"""Room for signal handlers. Linux; elsewhere nothing is done.

faulthandler gives the main thread a stack of its own for handlers, so that a stack overflow can be told, and since
CPython 3.10 every handler runs there (PyOS_setsig sets SA_ONSTACK). It is sized for one, SIGSTKSZ + AT_MINSIGSTKSZ:
11.3 KiB on a machine with AVX-512, where the kernel stores 3.3 KiB for each signal (signal(7), getauxval(3)). Signals
that come together are nested, so that a few of them wrote over the heap below that stack: a worker that was sent HUP,
INT, QUIT, USR1 and USR2 at one stroke crashed, at once or later (CPython 3.11.7, Linux 6.18).

The memory is private: a worker that was forked keeps the address, and writes to pages of its own. Python's mmap maps
anonymous memory shared unless it is told otherwise; so mapped, workers that handled a signal at the same moment wrote
their frames over each other's, and 5 of 6 groups of four crashed at one `kill -TERM -PGID`.
"""

from __future__ import annotations

import ctypes
import mmap
import sys
from typing import Final

SIZE: Final = 262144
"""Bytes; only those that are used become memory. Room for every signal there is, 64 of them with 3.3 KB each."""

_kept: mmap.mmap | None = None


def widen() -> None:
    """Replace the main thread's alternate signal stack by one with room for every signal. OSError if that fails.

    In a process that was forked from one that has it, it is there already (sigaltstack(2)).
    """
    global _kept
    if sys.platform != "linux" or _kept is not None:
        return

    class Stack(ctypes.Structure):
        """stack_t, sigaltstack(2)."""

        _fields_ = (("sp", ctypes.c_void_p), ("flags", ctypes.c_int), ("size", ctypes.c_size_t))

    memory = mmap.mmap(-1, SIZE, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    stack = Stack(ctypes.addressof(ctypes.c_char.from_buffer(memory)), 0, SIZE)
    if ctypes.CDLL(None, use_errno=True).sigaltstack(ctypes.byref(stack), None):
        code = ctypes.get_errno()
        raise OSError(code, f"sigaltstack: errno {code}")
    _kept = memory
