"""Tells a service manager how we are, as sd_notify(3) has it: datagrams to $NOTIFY_SOCKET. Host side, no judgement.

Spoken here rather than through libsystemd, because it is one sendto(2). Three things are sent: what is new in each
notice that we are shown; WATCHDOG=1 every half of the interval that the manager asks for, from the loop itself, while
the last notice says that a worker serves; and, while we start, reload or stop, EXTEND_TIMEOUT_USEC again and again, so
that the manager's timeout bounds our silence rather than the work, whose own deadlines are the policy's.

Without NOTIFY_SOCKET there is no Notifier at all. Nothing here ever blocks, except last_words().
"""

from __future__ import annotations

import array
import errno
import os
import select
import socket
from collections.abc import Callable, Mapping
from typing import Final

from supervisor_d import clock
from supervisor_d.control.sd_notify import UNTOLD, Notice, difference, newest, one_line
from supervisor_d.host.reactor import Deadline, Reactor
from supervisor_d.log import Log
from supervisor_d.vocabulary import Instant

EXTENSION_S: Final = 10.0
"""How far a timeout is pushed out, every half of it. Chosen: long enough for a machine that swaps, and as short as a
manager may need to learn that we are stuck."""

RETRY_S: Final = 0.1
"""Until a datagram is tried again that found the manager's queue full (net.unix.max_dgram_qlen). Chosen."""

BARRIER_S: Final = 1.0
"""Longest wait for the manager to have read our last words. Chosen: it takes about a millisecond."""

FEEDS_PER_INTERVAL: Final = 2
"""sd_watchdog_enabled(3): "It is recommended that a daemon sends a keep-alive notification message to the service
manager every half of the time returned here."""


def open_notifier(reactor: Reactor, log: Log, environ: Mapping[str, str]) -> Notifier | None:
    """A notifier, if there is a manager that wants to know."""
    place = environ.get("NOTIFY_SOCKET", "")
    if not place:
        return None
    if place[0] not in "/@" or len(place) < 2:
        log("master.degraded", feature="sd_notify", reason=f"NOTIFY_SOCKET: must be a path or @NAME, not {place!r}")
        return None
    return Notifier(reactor, log, place, watchdog_s(environ, log))


def watchdog_s(environ: Mapping[str, str], log: Log) -> float | None:
    """The manager's watchdog interval in seconds; None if it asks this process for none (sd_watchdog_enabled(3))."""
    text = environ.get("WATCHDOG_USEC", "")
    if not text or environ.get("WATCHDOG_PID", str(os.getpid())) != str(os.getpid()):
        return None
    if not (text.isascii() and text.isdigit() and int(text) > 0):
        log("master.degraded", feature="watchdog", reason=f"WATCHDOG_USEC: must be microseconds, not {text!r}")
        return None
    return int(text) / 1e6


class Notifier:
    """Sends what is new, from open to close. `notice` is what the manager was told last."""

    def __init__(self, reactor: Reactor, log: Log, place: str, watchdog_s: float | None) -> None:
        self.notice: Notice = UNTOLD
        self._reactor = reactor
        self._log = log
        self._address = "\0" + place[1:] if place.startswith("@") else place
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.setblocking(False)
        self._feed_s = watchdog_s / FEEDS_PER_INTERVAL if watchdog_s is not None else None
        self._is_hungry = False
        self._unsent: list[str] = []
        self._deadlines: dict[str, Deadline] = {}
        self._has_failed = False
        self._send(self._extension())
        self._arm_feed()

    def show(self, notice: Notice) -> None:
        """Tell what is new in this notice."""
        before, self.notice = self.notice, notice
        lines = difference(before, notice, clock.now())
        if notice.phase is not before.phase and notice.takes_time:
            lines += self._extension()
        if self._is_hungry and notice.is_alive:
            lines += self._food()
        self._send(lines)

    def last_words(self, text: str) -> None:
        """Tell why we end, and wait a moment until that is read: of a process that is gone, nothing is believed."""
        self._send([f"STATUS={one_line(text)}"])
        ours, theirs = os.pipe()
        try:
            is_asked = self._ask_for_barrier(theirs)
        finally:
            os.close(theirs)
        if is_asked:
            closed = select.poll()
            closed.register(ours, select.POLLHUP)
            closed.poll(BARRIER_S * 1000)
        os.close(ours)

    def _ask_for_barrier(self, descriptor: int) -> bool:
        """Have the manager close its copy of the descriptor when it has read all before (sd_notify_barrier(3))."""
        rights = (socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [descriptor]))
        try:
            self._socket.sendmsg([b"BARRIER=1"], [rights], 0, self._address)
        except OSError:  # no process is there, or its queue is full: then we do not wait
            return False
        return True

    def close(self) -> None:
        for deadline in self._deadlines.values():
            deadline.cancel()
        self._socket.close()

    def _arm(self, action: Callable[[], None], after_s: float) -> None:
        """Do this in a while, once, however often it was armed."""
        if action.__name__ in self._deadlines:
            self._deadlines[action.__name__].cancel()
        self._deadlines[action.__name__] = self._reactor.at(Instant(clock.now() + after_s), action)

    def _extend(self) -> None:
        if self.notice.takes_time:
            self._send(self._extension())

    def _extension(self) -> list[str]:
        self._arm(self._extend, EXTENSION_S / 2)
        return [f"EXTEND_TIMEOUT_USEC={int(EXTENSION_S * 1e6)}"]

    def _arm_feed(self) -> None:
        if self._feed_s is not None:
            self._arm(self._feed, self._feed_s)

    def _feed(self) -> None:
        """Feed the watchdog, if a worker serves; else as soon as one does."""
        if self.notice.is_alive:
            self._send(self._food())
        else:
            self._is_hungry = True
            self._arm_feed()

    def _food(self) -> list[str]:
        self._is_hungry = False
        self._arm_feed()
        return ["WATCHDOG=1"]

    def _send(self, lines: list[str]) -> None:
        """All lines in one datagram, those first that could not be sent before; they go in order or not at all."""
        self._unsent += lines
        self._flush()

    def _flush(self) -> None:
        if not self._unsent:
            return
        try:
            self._socket.sendto("\n".join(self._unsent).encode("utf-8", "replace"), self._address)
        except BlockingIOError:
            self._unsent = newest(self._unsent)
            self._arm(self._flush, RETRY_S)
            return
        except OSError as error:
            if not self._has_failed:
                reason = f"{errno.errorcode.get(error.errno or 0, 'failed')}: {error.strerror}"
                self._log("master.degraded", feature="sd_notify", reason=reason)
            self._has_failed = True
        self._unsent.clear()
