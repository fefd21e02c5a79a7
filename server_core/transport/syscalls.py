"""read(2), write(2) and close(2) on a socket that does not block, with the interpreter kept.

os.write() and os.close() let another thread have the interpreter meanwhile, which is right for calls that may wait.
These never do, and who has given it up to a thread that computes has it back after 5 ms (sys.setswitchinterval()). With
such a thread in the application a worker on two CPUs answered 170 requests a second in that way, 1,200 in this one,
and 16,000 where streams are compiled (`python -m tests.bench.computing`).

Where streams are compiled, system_calls.pxd is this module in C, inline, and this one is not called. Here ctypes makes
the calls, which takes 0.7 us longer than os.write() does. os.read() is over before another thread has woken up.
"""

from __future__ import annotations

import ctypes
import os
import time
from typing import Final

FEW_BYTES: Final = 4096
"""Who has sent as many at once is likely to send more. Chosen: a page; few requests without a body are longer."""

READ_BYTES: Final = 65536
"""Received at once, at most. Chosen: CPython allocates as much before it reads, and more would come from mmap(2) each
time."""


monotonic: Final = time.monotonic
"""Seconds of CLOCK_MONOTONIC (clock_gettime(2)), read twice for a request; in C without a call of Python's."""


class _Part(ctypes.Structure):
    """struct iovec (readv(2))."""

    _fields_ = (("place", ctypes.c_char_p), ("size", ctypes.c_size_t))


_Parts = _Part * 2

_libc: Final = ctypes.PyDLL(None, use_errno=True)  # unlike a CDLL it keeps the interpreter
_write: Final = _libc.write
_write.argtypes, _write.restype = (ctypes.c_int, ctypes.c_char_p, ctypes.c_size_t), ctypes.c_ssize_t
_writev: Final = _libc.writev
_writev.argtypes, _writev.restype = (ctypes.c_int, ctypes.POINTER(_Part), ctypes.c_int), ctypes.c_ssize_t
_close: Final = _libc.close
_close.argtypes, _close.restype = (ctypes.c_int,), ctypes.c_int


def receive(fd: int, is_much: bool) -> bytes:  # noqa: ARG001 - for the form in C, which is called alike
    """What has come, nothing at the end. OSError, BlockingIOError if nothing has come.

    In C no more than FEW_BYTES unless it `is_much`, for which READ_BYTES are allocated first.
    """
    return os.read(fd, READ_BYTES)


def send(fd: int, data: bytes) -> int:
    """How many of these bytes the kernel took. OSError, BlockingIOError if none."""
    sent: int = _write(fd, data, len(data))
    if sent < 0:
        raise _failure()
    return sent


def send_both(fd: int, parts: tuple[bytes, bytes]) -> int:
    """The same of two, by one system call (writev(2))."""
    first, second = parts
    sent: int = _writev(fd, _Parts(_Part(first, len(first)), _Part(second, len(second))), 2)
    if sent < 0:
        raise _failure()
    return sent


def close(fd: int) -> None:
    """OSError as of close(2)."""
    if _close(fd) < 0:
        raise _failure()


def _failure() -> OSError:
    number = ctypes.get_errno()
    return OSError(number, os.strerror(number))
