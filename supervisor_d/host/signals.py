"""Signals to the master as facts. Host side.

On Linux they are blocked and read from a signalfd(2), which costs no handler, interrupts nothing, and says who sent
each. Elsewhere handlers that do nothing write to a wakeup descriptor (signal.set_wakeup_fd), and the sender stays
unknown. A signal that is blocked is queued even for PID 1, whom the kernel otherwise protects from signals that it has
no handler for, and even where a parent left it ignored (nohup).

What each means to an operator is told in contrib/docs/SIGNALS.md; MEANINGS is the same as a table.
"""

from __future__ import annotations

import ctypes
import os
import signal
import socket
import struct
from collections.abc import Callable, Mapping
from functools import partial
from typing import Final

from supervisor_d.host.watcher import READ, Watcher
from supervisor_d.log import Log
from supervisor_d.vocabulary import (
    Fact,
    Origin,
    ReloadRequested,
    ReopenRequested,
    ScaleRequested,
    StopRequested,
)

MEANINGS: Final[Mapping[signal.Signals, Callable[[Origin], Fact]]] = {
    signal.SIGTERM: lambda origin: StopRequested(origin, fast=False),
    signal.SIGINT: lambda origin: StopRequested(origin, fast=False),
    signal.SIGQUIT: lambda origin: StopRequested(origin, fast=True),
    signal.SIGHUP: ReloadRequested,
    signal.SIGTTIN: lambda origin: ScaleRequested(origin, change=1, relative=True),
    signal.SIGTTOU: lambda origin: ScaleRequested(origin, change=-1, relative=True),
    signal.SIGUSR1: ReopenRequested,
}

HANDLED: Final = (*MEANINGS, signal.SIGUSR2, signal.SIGCHLD)

SIGINFO_BYTES: Final = 128
SIGINFO: Final = struct.Struct("=IiiII")
"""The beginning of struct signalfd_siginfo: signo, errno, code, pid, uid (signalfd(2)); SIGINFO_BYTES in all."""

SFD_NONBLOCK: Final = os.O_NONBLOCK
SFD_CLOEXEC: Final = os.O_CLOEXEC
SIGSET_BYTES: Final = 128
"""sizeof(sigset_t) in glibc and musl."""


class Signals:
    """Turns the master's signals into facts from open() to close()."""

    def __init__(self, watcher: Watcher, log: Log, on_child: Callable[[], None]) -> None:
        self._watcher = watcher
        self._log = log
        self._on_child = on_child
        self._interrupts = 0
        self._undo: list[Callable[[], object]] = []

    def open(self) -> None:
        """From now on no handled signal is lost, and none ends the process."""
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)  # inherited as ignored, it would reap our children unseen
        if not self._open_signalfd():
            self._open_handlers()

    def close(self) -> None:
        while self._undo:
            self._undo.pop()()

    def received(self, number: int, pid: int | None, uid: int | None) -> None:
        """Act on one signal."""
        if number == signal.SIGCHLD:
            self._on_child()
            return
        known = signal.Signals(number)
        self._log("signal.received", signal=known.name, sender_pid=pid, sender_uid=uid)
        if known == signal.SIGUSR2:
            self._log("master.degraded", feature="upgrade (SIGUSR2)", reason="this version cannot upgrade in place")
            return
        origin = Origin("signal", known.name, pid, uid)
        if known == signal.SIGINT:
            self._interrupts += 1
            if self._interrupts > 1:
                self._watcher.tell(StopRequested(origin, fast=True))
                return
        self._watcher.tell(MEANINGS[known](origin))

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
        before = signal.pthread_sigmask(signal.SIG_BLOCK, HANDLED)
        source = int(signalfd(-1, wanted, SFD_NONBLOCK | SFD_CLOEXEC))
        if source < 0:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
            return False
        self._undo.append(lambda: signal.pthread_sigmask(signal.SIG_SETMASK, before))
        self._undo.append(lambda: os.close(source))
        self._watcher.watch(source, READ, lambda _: self._read_signalfd(source))
        self._undo.append(lambda: self._watcher.forget(source))
        return True

    def _read_signalfd(self, source: int) -> None:
        try:
            data = os.read(source, SIGINFO_BYTES * len(HANDLED))
        except BlockingIOError:  # taken by another reader of this process: there is none, but nothing is lost either
            return
        for offset in range(0, len(data), SIGINFO_BYTES):
            number, _, _, pid, uid = SIGINFO.unpack_from(data, offset)
            self.received(number, pid, uid)

    def _open_handlers(self) -> None:
        self._log("master.degraded", feature="signalfd", reason="not on this system; senders of signals stay unknown")
        reader, writer = socket.socketpair()
        reader.setblocking(False)
        writer.setblocking(False)
        for number in HANDLED:
            before = signal.signal(number, lambda _number, _frame: None)
            self._undo.append(partial(signal.signal, number, before))
        wakeup_before = signal.set_wakeup_fd(writer.fileno())
        self._watcher.watch(reader.fileno(), READ, lambda _: self._read_wakeup(reader))

        def undo() -> None:
            signal.set_wakeup_fd(wakeup_before)
            self._watcher.forget(reader.fileno())
            reader.close()
            writer.close()

        self._undo.append(undo)

    def _read_wakeup(self, reader: socket.socket) -> None:
        for number in reader.recv(4096):
            if number in HANDLED:
                self.received(number, None, None)
