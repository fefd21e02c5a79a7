"""Where the master's signals come from, whatever threads its process has. Host side.

A process may have threads that are not ours: of an agent that began before us (opentelemetry-instrument, ddtrace-run, a
profiler), of a script that calls run(). The kernel gives a signal to any thread that does not block it (signal(7)), and
the mask of another thread cannot be changed. So there are two ways in, and each signal comes by one of them:

    blocked in this thread   read from a signalfd(2), which interrupts nothing and says who sent it
    taken by another thread  the interpreter's handler, in C, writes its number into a pipe (signal.set_wakeup_fd)

It is taken from the kernel's queue once, by whichever is first; the sender of one that a handler took is unknown. Where
there is no signalfd, nothing is blocked, and all come by the pipe. Rejected: the signalfd alone, with which a signal's
default action ended the master as soon as another thread was there; handlers alone, which do not say who sent it.

A signal that is blocked is queued even for PID 1, whom the kernel otherwise protects from signals that it has no
handler for, and even where a parent left it ignored (nohup). Handlers keep it from being dropped when another thread
takes it.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import struct
import threading
from collections.abc import Callable, Iterator
from functools import partial
from types import FrameType
from typing import Final

from supervisor_d.errors import ConfigurationError

HANDLED: Final = (
    signal.SIGTERM,
    signal.SIGINT,
    signal.SIGQUIT,
    signal.SIGHUP,
    signal.SIGTTIN,
    signal.SIGTTOU,
    signal.SIGUSR1,
    signal.SIGUSR2,
    signal.SIGCHLD,
)

SIGINFO_BYTES: Final = 128
SIGINFO: Final = struct.Struct("=IiiII")
"""The beginning of struct signalfd_siginfo: signo, errno, code, pid, uid (signalfd(2)); SIGINFO_BYTES in all."""

SI_KERNEL: Final = 0x80
"""The code of a signal that no process sent, such as a terminal's Ctrl-C (sigaction(2)). Its pid and uid are 0 then.
The pid alone is 0 if the sender is in a PID namespace that this process cannot see into."""

READ_BYTES: Final = 4096
"""At a time; a pipe holds 65,536 numbers (pipe(7)), and it is read in every turn of the loop."""

SFD_NONBLOCK: Final = os.O_NONBLOCK
SFD_CLOEXEC: Final = os.O_CLOEXEC
SIGSET_BYTES: Final = 128
"""sizeof(sigset_t) in glibc and musl."""
SIGACTION_BYTES: Final = 512
"""More than sizeof(struct sigaction) anywhere; 152 in glibc and musl on x86-64."""

Received = tuple[int, int | None, int | None]
"""A signal's number, and its sender's pid and uid where they are known; None, where they are not."""


class SignalSource:
    """The signals of this process, from open() until they are handed back (restore) or of no more use (retire)."""

    def __init__(self) -> None:
        self._undo: list[Callable[[], object]] = []
        self._readers: dict[int, Callable[[], Iterator[Received]]] = {}

    @property
    def descriptors(self) -> tuple[int, ...]:
        """What is readable when a signal has come."""
        return tuple(self._readers)

    @property
    def knows_senders(self) -> bool:
        """Whether there is a signalfd here."""
        return len(self._readers) > 1

    def open(self) -> None:
        """From now on no handled signal is lost, and none ends the process. Nothing if it is open already.

        Raises ConfigurationError in a thread that is not the main one: only that can have handlers.
        """
        if threading.current_thread() is not threading.main_thread():
            raise ConfigurationError(
                "run: must be called in the main thread, which gets the signals that stop and reload the daemon, "
                f"not in thread {threading.current_thread().name!r}"
            )
        if self._undo:
            return
        before = signal.pthread_sigmask(signal.SIG_BLOCK, HANDLED)
        self._undo.append(partial(signal.pthread_sigmask, signal.SIG_SETMASK, before))
        self._open_pipe()
        for number in HANDLED:
            self._handle(number)
        if not self._open_signalfd():
            signal.pthread_sigmask(signal.SIG_SETMASK, before)

    @contextlib.contextmanager
    def held(self, afterwards: Callable[[], None]) -> Iterator[None]:
        """open() now, and `afterwards` at the end, which is restore or retire."""
        self.open()
        try:
            yield
        finally:
            afterwards()

    def read(self, descriptor: int) -> list[Received]:
        """Signals that have come this way; of very many the first, and the descriptor stays readable."""
        with contextlib.suppress(BlockingIOError):  # taken by the other way meanwhile
            return list(self._readers[descriptor]())
        return []

    def restore(self) -> None:
        """Have everything as it was before open(). Signals that came in between and were not read are forgotten."""
        for descriptor in self.descriptors:
            self.read(descriptor)  # what was meant for us must not reach the owner of the handlers before
        while self._undo:
            self._undo.pop()()
        self._readers.clear()

    def retire(self) -> None:
        """For the end of the process: no signal that was handled ends it from now on.

        A second SIGTERM on the way out, or a Ctrl-C too many, must not turn an orderly exit into a death by signal.
        Ignored rather than handled, since the interpreter takes its handlers back before it has ended.
        """
        for number in HANDLED:
            signal.signal(number, signal.SIG_DFL if number == signal.SIGCHLD else signal.SIG_IGN)

    def _open_pipe(self) -> None:
        reading, writing = os.pipe()
        for end in (reading, writing):
            os.set_blocking(end, False)
            self._undo.append(partial(os.close, end))
        before = signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
        self._undo.append(partial(signal.set_wakeup_fd, before))
        self._readers[reading] = partial(_read_pipe, reading)

    def _handle(self, number: int) -> None:
        """Have a handler that wakes us up by the pipe; system calls of other threads go on behind it (SA_RESTART)."""
        self._undo.append(_keep_action(number))
        before = signal.signal(number, _heed)
        self._undo.append(partial(signal.signal, number, signal.SIG_DFL if before is None else before))
        signal.siginterrupt(number, False)

    def _open_signalfd(self) -> bool:
        """False where there is no signalfd."""
        try:
            libc = ctypes.CDLL(None, use_errno=True)
            signalfd, fill = libc.signalfd, libc.sigaddset
        except (OSError, AttributeError):
            return False
        wanted = ctypes.create_string_buffer(SIGSET_BYTES)
        for number in HANDLED:
            fill(wanted, ctypes.c_int(number))
        source = int(signalfd(-1, wanted, SFD_NONBLOCK | SFD_CLOEXEC))
        if source < 0:
            return False
        self._undo.append(partial(os.close, source))
        self._readers[source] = partial(_read_signalfd, source)
        return True


def _keep_action(number: int) -> Callable[[], object]:
    """What puts a signal's action back as it is now, be it one of C code, which Python cannot tell of."""
    try:
        act = ctypes.CDLL(None).sigaction
    except (OSError, AttributeError):
        return lambda: None
    kept = ctypes.create_string_buffer(SIGACTION_BYTES)
    if act(number, None, kept):
        return lambda: None
    return lambda: act(number, kept, None)


def _heed(_number: int, _frame: FrameType | None) -> None:
    """The pipe has told it already."""
    return


def _read_pipe(reading: int) -> Iterator[Received]:
    for number in os.read(reading, READ_BYTES):
        if number in HANDLED:
            yield number, None, None


def _read_signalfd(source: int) -> Iterator[Received]:
    data = os.read(source, SIGINFO_BYTES * len(HANDLED))
    for offset in range(0, len(data), SIGINFO_BYTES):
        number, _, code, pid, uid = SIGINFO.unpack_from(data, offset)
        yield number, pid or None, None if code == SI_KERNEL else uid


THIS_PROCESS: Final = SignalSource()
"""There is one of them, as there is one set of handlers."""
