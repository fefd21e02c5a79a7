"""Sends the daemon's state to the service manager: by sd_notify(3), and on the descriptor that s6 and dinit open."""

from __future__ import annotations

from collections.abc import Mapping

from supervisor_d.control.sd_notify import Phase, notice_of, phase_of
from supervisor_d.host.reactor import Reactor
from supervisor_d.host.system.ready_descriptor import take
from supervisor_d.host.system.systemd import Notifier, open_notifier
from supervisor_d.log import Log
from supervisor_d.vocabulary.status import Status


class Announcer:
    """Both ways, as far as the service manager has them; `is_heard` says whether it has one."""

    def __init__(self, ready_fd: int, source: str, log: Log) -> None:
        """`ready_fd` comes from `source`. Raises ConfigurationError if it cannot be written to."""
        self._log = log
        self._ready = take(ready_fd, source, self._complain)
        self._notifier: Notifier | None = None

    def open(self, reactor: Reactor, environ: Mapping[str, str]) -> None:
        self._notifier = open_notifier(reactor, self._log, environ)

    def _complain(self, reason: str) -> None:
        self._log("master.degraded", feature="ready-fd", reason=reason)

    @property
    def is_heard(self) -> bool:
        return self._notifier is not None or self._ready is not None

    def show(self, status: Status) -> None:
        """Send what is new in this status."""
        if self._notifier is not None:
            self._notifier.show(notice_of(status, self._notifier.notice))
        if self._ready is not None and phase_of(status, Phase.STARTING) is Phase.READY:
            self._ready.tell()
            self._ready = None

    def last_words(self, text: str) -> None:
        """Send why the daemon ends, where the protocol can say it."""
        if self._notifier is not None:
            self._notifier.last_words(text)

    def close(self) -> None:
        for one in (self._notifier, self._ready):
            if one is not None:
                one.close()
