"""The one place where an exception in the master's own work ends, so that none ends the master.

What the system can refuse is handled where it is done, and comes back as a fact. Anything else is a mistake of ours,
or an answer of the system that we did not think of: it is logged with its traceback, kept as an incident, and counted,
and the work that it interrupted is given up. Work that belongs to one client or one worker says how that one is cut
off (`failed`). For all other work it is not known what is missing now, so that failures that come again and again give
the daemon up in an order that loses nothing: the workers drain, and the exit code is 1. If even that fails, the
exception ends the master, and the workers drain by themselves (contract/messages.py, "EOF").

Rejected: a catch-all in each callback, which is forgotten in the next one; and going on for ever, which would be a
daemon that says it is well and does nothing.
"""

from __future__ import annotations

import traceback
from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Final, Protocol, TypeVar

from supervisor_d import clock
from supervisor_d.log import Log

FAULTS_MAX: Final = 10
FAULTS_PERIOD_S: Final = 60.0
"""So many failures of shared work in so many seconds give the daemon up. Chosen: more than one unlucky moment (a
status, a scrape and a reload while no descriptor is free), and fewer than would bury the reason in the log."""

T = TypeVar("T")


Failed = Callable[[Exception], None]
"""How what failed is cut off."""


class Barrier(Protocol):
    """Runs pieces of work."""

    def run(self, what: str, work: Callable[[], T], failed: Failed | None = None) -> T | None:
        """The work's result; None if it failed. `what` says for people what it is."""


class NoBarrier:
    """Lets every exception through: for a loop that is not a daemon's."""

    def run(self, what: str, work: Callable[[], T], failed: Failed | None = None) -> T | None:  # noqa: ARG002 - as above
        return work()


class FaultBarrier:
    """Runs the master's work piece by piece. `keep` keeps an incident; `give_up` asks once for an orderly end."""

    def __init__(self, log: Log, keep: Callable[[str, str, str], None], give_up: Callable[[str], None]) -> None:
        self._log = log
        self._keep = keep
        self._give_up = give_up
        self._recent: deque[float] = deque(maxlen=FAULTS_MAX)
        self._has_given_up = False

    def run(self, what: str, work: Callable[[], T], failed: Failed | None = None) -> T | None:
        """The work's result; None if it failed, and then `failed` was called if there is one.

        Raises the exception itself once the daemon was given up and shared work still fails again and again.
        """
        try:
            return work()
        except Exception as error:  # noqa: BLE001 - the one place: see above
            self._take(what, error)
            if failed is None:
                self._count(what, error)
            else:
                self.run(f"cutting off after {what}", partial(failed, error))
            return None

    def _take(self, what: str, error: Exception) -> None:
        text = f"{type(error).__name__}: {error}"
        trace = "".join(traceback.format_exception(error))
        try:
            self._log("master.faulted", work=what, error=text, traceback=trace)
            self._keep(what, text, trace)
        except Exception:  # noqa: BLE001 - a log that cannot be written must not hide what it was to tell
            traceback.print_exception(error)

    def _count(self, what: str, error: Exception) -> None:
        now = clock.now()
        self._recent.append(now)
        if len(self._recent) < FAULTS_MAX or now - self._recent[0] > FAULTS_PERIOD_S:
            return
        self._recent.clear()
        if self._has_given_up:
            raise error
        self._has_given_up = True
        self._give_up(f"{FAULTS_MAX} failures within {FAULTS_PERIOD_S:g} s, the last one {what}: {error}")
