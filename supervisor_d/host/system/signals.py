"""What each signal to the master means, as facts; where they come from is in signal_source. Host side.

What each means to an operator is in contrib/docs/SIGNALS.md; MEANINGS is the same as a table.
"""

from __future__ import annotations

import signal
from collections.abc import Callable, Mapping
from functools import partial
from typing import Final

from supervisor_d.host.reactor import READ, Reactor
from supervisor_d.host.system.signal_source import THIS_PROCESS, SignalSource
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


class Signals:
    """Turns the master's signals into facts from open() to close()."""

    def __init__(
        self, reactor: Reactor, log: Log, on_child: Callable[[], None], source: SignalSource = THIS_PROCESS
    ) -> None:
        self._reactor = reactor
        self._log = log
        self._on_child = on_child
        self._source = source
        self._watched: tuple[int, ...] = ()
        self._interrupts = 0

    def open(self) -> None:
        """Act on every signal from now on, and on those that the source has kept until now."""
        self._source.open()
        if not self._source.knows_senders:
            self._log(
                "master.degraded", feature="signalfd", reason="not on this system; senders of signals stay unknown"
            )
        self._watched = self._source.descriptors
        for descriptor in self._watched:
            self._reactor.watch(descriptor, READ, partial(self._read, descriptor))

    def close(self) -> None:
        """Act on no signal any more; what is done with them is the source's."""
        for descriptor in self._watched:
            self._reactor.forget(descriptor)
        self._watched = ()

    def _read(self, descriptor: int, _: int) -> None:
        for number, pid, uid in self._source.read(descriptor):
            self.received(number, pid, uid)

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
                self._reactor.tell(StopRequested(origin, fast=True))
                return
        self._reactor.tell(MEANINGS[known](origin))
