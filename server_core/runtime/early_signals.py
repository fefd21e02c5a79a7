"""The edges of a worker's life outside its event loop: signals before there is one, streams after it."""

from __future__ import annotations

import atexit
import contextlib
import ctypes
import signal
import sys
from collections.abc import Iterator
from types import FrameType
from typing import Final

IGNORED: Final = (signal.SIGTTIN, signal.SIGTTOU)
"""Truly ignored: a caught SIGTTIN makes a background read from the terminal restart for ever (tty_ioctl(4) job
control answers EIO only if the signal is ignored or blocked)."""

UNHEEDED: Final = (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGUSR1, signal.SIGUSR2)
"""For the master, which a terminal or an operator reaches by the same stroke: caught and forgotten. Not SIG_IGN, which
the programs that an application starts would inherit (signal(7))."""


class Terminated(BaseException):
    """SIGTERM while the application was being imported. Not an Exception: imports are full of handlers for those."""


class EarlySignals:
    """Handlers until the event loop has its own. During the import SIGTERM interrupts; before and after it is kept."""

    def __init__(self) -> None:
        self.terminated = False
        self.interrupts = False

    def catch(self) -> None:
        """Install all handlers. Signals may be blocked as yet, and are in this thread: another one, which an agent
        began with the interpreter, may take them all the same, and must not do by default, which ends the process.
        """
        for ignored in IGNORED:
            signal.signal(ignored, signal.SIG_IGN)
        for unheeded in UNHEEDED:
            signal.signal(unheeded, _forget)
        signal.signal(signal.SIGTERM, self._terminate)

    def admit(self) -> None:
        """Let signals come."""
        signal.pthread_sigmask(signal.SIG_SETMASK, ())

    def block(self) -> None:
        """Let no signal come until admit()."""
        signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
        self.interrupts = False

    def _terminate(self, _signal: int, _frame: FrameType | None) -> None:
        self.terminated = True
        if self.interrupts:
            raise Terminated


@contextlib.contextmanager
def handlers_kept() -> Iterator[None]:
    """Give the signals that a server alone takes back to the handlers that had them before."""
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1)}
    try:
        yield
    finally:
        for number, handler in before.items():
            # None is one of C code, which Python can neither name nor install. In a thread nothing has changed.
            if handler is not None and handler != signal.getsignal(number):
                signal.signal(number, handler)


def _forget(_signal: int, _frame: FrameType | None) -> None:
    return


OURS: Final = ("server_core.", "asyncio.", "uvloop.")
"""Whose handlers mean nothing in a process that is no worker: they speak to the worker's event loop."""


def restore_signals() -> None:
    """Give every signal that a worker takes, or has its loop take, the handler that a Python process begins with.

    Handlers that the application installed by itself stay, as they do in any fork.
    """
    for number in signal.valid_signals():
        handler = signal.getsignal(number)
        is_ignored = handler is signal.SIG_IGN and number in IGNORED
        if is_ignored or str(getattr(handler, "__module__", "")).startswith(OURS):
            signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)


def is_ours(handler: object) -> bool:
    """Whether it is one of the handlers that were installed here, or Python's own, and not the application's."""
    return handler in (_forget, signal.default_int_handler) or isinstance(
        getattr(handler, "__self__", None), EarlySignals
    )


def outlast_signals() -> None:
    """Let none of the signals that a worker takes kill the process while its interpreter ends, when all else has ended.

    The interpreter gives up its handlers on its way, and the kernel's default would make a crash of an end that lost
    nothing. To be called before the application is imported: what is registered first is called last, so that no
    program that an exit function starts inherits ignored signals.
    """
    atexit.register(ignore_signals)


def forget_signals() -> None:
    """Catch and forget what a worker takes, where nobody else does: to the end of the interpreter it may be long.

    An event loop that closes leaves the signals that the application had it watch to the kernel's default.
    """
    for number in (signal.SIGTERM, *UNHEEDED):
        if signal.getsignal(number) in (signal.SIG_DFL, signal.default_int_handler):
            signal.signal(number, _forget)


def ignore_signals() -> None:
    """Ignore what a worker takes. For the end alone: programs that are started inherit it (signal(7))."""
    for number in (signal.SIGTERM, *UNHEEDED):
        signal.signal(number, signal.SIG_IGN)


def finish_streams() -> None:
    """Flush standard output and error, Python's and C's, forgetting one that is closed or broken.

    Otherwise the interpreter tries again when it ends, and turns exit code 0 into 120 (Py_FinalizeEx).
    """
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        try:
            if stream is not None:
                stream.flush()
        except (OSError, ValueError):  # EPIPE, EBADF, ENOSPC; closed by the application
            setattr(sys, name, None)
    ctypes.CDLL(None).fflush(None)  # what C libraries print (fflush(3): all streams)
