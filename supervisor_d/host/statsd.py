"""Sends a StatsD server what has been counted, once a second. Host side.

By the master, since its records outlive a worker: what one counted before it was killed is sent, too. A datagram that
the kernel does not take at once is dropped, so that nothing waits (law 4). A host's name is looked up once, before the
daemon listens: to look it up again could block the master for as long as a resolver does not answer.
"""

from __future__ import annotations

import socket
from collections.abc import Mapping
from typing import Final

from server_core.contract.figures import Figures
from supervisor_d import clock
from supervisor_d.control.statsd import Form, Sample, datagrams, lines
from supervisor_d.host.journal.event_ring import Journal
from supervisor_d.host.observation.scoreboard import Scoreboard
from supervisor_d.host.processes.process_table import ProcessTable
from supervisor_d.host.reactor import Reactor
from supervisor_d.log import ALL_EVENTS
from supervisor_d.settings.declaration import DaemonSettings
from supervisor_d.settings.values.address import TcpAddress, UnixAddress, parse_address
from supervisor_d.vocabulary import Instant

INTERVAL_S: Final = 1.0
"""As often as workers store what they count (LoopBeat). Servers sum over 10 s by default."""

LEVELS: Final = ("warning", "error")
CRITICAL: Final = "worker.hung"
"""The event for which gunicorn has a line of level critical (WORKER TIMEOUT)."""

Address = str | tuple[str | int | bytes, ...]
Target = tuple[socket.AddressFamily, Address]


class Statsd:
    """What is sent, and what was sent last; `open()` begins, and nothing is sent where it could not."""

    def __init__(
        self, daemon: DaemonSettings, reactor: Reactor, journal: Journal, board: Scoreboard, children: ProcessTable
    ) -> None:
        self._address = daemon.statsd
        self._form = Form(daemon.statsd_prefix, daemon.statsd_tags)
        self._reactor = reactor
        self._journal = journal
        self._board = board
        self._children = children
        self._socket: socket.socket | None = None
        self._target: Address = ""
        self._before = Sample(board.retired, 0, {})
        self._has_failed = False

    def open(self) -> None:
        """Find the server and begin, if there is one to be told."""
        if not self._address:
            return
        try:
            family, self._target = find(self._address)
            self._socket = socket.socket(family, socket.SOCK_DGRAM)
        except OSError as error:
            self._journal("statsd.failed", address=self._address, error=error.strerror or str(error))
            return
        self._socket.setblocking(False)
        self._wait()

    def close(self) -> None:
        """Send the rest and end."""
        if self._socket is not None:
            self._send()
            self._socket.close()
            self._socket = None

    def _wait(self) -> None:
        self._reactor.at(Instant(clock.now() + INTERVAL_S), self._turn)

    def _turn(self) -> None:
        if self._socket is not None:
            self._wait()
            self._send()

    def _send(self) -> None:
        now = self._sample()
        told, self._before = datagrams(lines(self._before, now, self._form)), now
        assert self._socket is not None
        try:
            for datagram in told:
                self._socket.sendto(datagram, self._target)
            self._has_failed = False
        except OSError as error:  # EAGAIN, ENOENT, ECONNREFUSED, ENETUNREACH: it may be there the next time
            if not self._has_failed:
                self._has_failed = True
                self._journal("statsd.failed", address=self._address, error=error.strerror or str(error))

    def _sample(self) -> Sample:
        slots = [child.slot for child in self._children]
        total = self._board.total(slots)
        return Sample(total, len(slots), logged(self._journal.counts, total))


def logged(counts: Mapping[str, int], workers: Figures) -> dict[str, int]:
    """What the daemon and its workers have logged, by gunicorn's levels."""
    ours = dict.fromkeys(LEVELS, 0)
    for event, count in counts.items():
        level = ALL_EVENTS[event].level
        if level in ours and event != CRITICAL:
            ours[level] += count
    return {
        "critical": counts.get(CRITICAL, 0),
        "error": ours["error"] + workers.log_errors_total,
        "exception": workers.log_exceptions_total,
        "warning": ours["warning"] + workers.log_warnings_total,
    }


def find(text: str) -> Target:
    """The family and the address of the server. Raises OSError if its name is not known."""
    address = parse_address(text)
    if isinstance(address, UnixAddress):
        return socket.AF_UNIX, f"\0{address.path[1:]}" if address.is_abstract else address.path
    assert isinstance(address, TcpAddress)
    family, _, _, _, target = socket.getaddrinfo(address.host, address.port, type=socket.SOCK_DGRAM)[0]
    return family, target
