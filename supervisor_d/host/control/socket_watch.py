"""Notices that the file of the control socket, or of admin-bind, is gone, and binds it anew. Host side.

A cleaner of /run, or a deployment, removes files that it does not know; then `ctl` finds no daemon, and a probe kills
the container. Only the master has these sockets, so that none is shut down by another process. What another process has
put at the path is left alone. Connections that are open stay so, and are served, so that readiness has no part in it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import field
from typing import Final, TypeVar

from server_core.records import dataclass
from supervisor_d import clock
from supervisor_d.errors import SupervisorError
from supervisor_d.host.control.server import ControlServer, Entrance
from supervisor_d.host.reactor import Reactor
from supervisor_d.host.unix_sockets.file_watch import FileWatch
from supervisor_d.log import Log
from supervisor_d.vocabulary import Instant

RETRY_S: Final = 5.0
"""Between attempts to bind it anew. Chosen: signals work meanwhile, and an idle master is to sleep."""

E = TypeVar("E", bound=Entrance)


@dataclass(slots=True, eq=False)
class Watched:
    """One server, how another listener is made for it, and what was logged since its file was last in place."""

    server: ControlServer
    renew: Callable[[], Entrance]
    told: set[str] = field(default_factory=set)
    is_retried: bool = False


class SocketWatch:
    """Watches the files of the servers it is given."""

    def __init__(self, reactor: Reactor, log: Log) -> None:
        self._reactor = reactor
        self._log = log
        self._files = FileWatch(reactor, log, self._look_at_all)
        self._servers: list[Watched] = []

    def add(self, server: ControlServer, listener: E, renew: Callable[[E], E]) -> None:
        """Watch the file of this server's listener; nothing if it has none.

        `renew` binds another at the same path; it raises OSError or SupervisorError.
        """
        if listener.place is None:
            return

        def renewed() -> E:
            nonlocal listener
            listener = renew(listener)
            return listener

        watched = Watched(server, renewed)
        self._servers.append(watched)
        # inotify(7) tells of what happens from then on; the file has been there to be removed since bind(2).
        self._look(watched)
        self._files.add(listener.place.path)
        self._look(watched)

    def close(self) -> None:
        """To be called before the servers are closed, which removes their files."""
        self._servers.clear()
        self._files.close()

    def _look_at_all(self) -> None:
        for watched in tuple(self._servers):
            self._look(watched)

    def _look(self, watched: Watched) -> None:
        place = watched.server.place
        wrong = place.what_is_wrong() if place is not None else None
        if wrong is not None:
            self._tell(watched, wrong)
            self._renew(watched, wrong)
        elif watched.told:  # its file was put back
            self._restore(watched)

    def _renew(self, watched: Watched, wrong: str) -> None:
        try:
            listener = watched.renew()
        except (OSError, SupervisorError) as error:
            self._tell(watched, f"{wrong}; it cannot be bound anew: {error}")
            self._retry_later(watched)
            return
        watched.server.move(listener)
        if listener.place is not None:
            self._files.add(listener.place.path)
            if (again := listener.place.what_is_wrong()) is not None:  # removed before it was watched
                self._tell(watched, again)
                self._retry_later(watched)
                return
        self._restore(watched)

    def _retry_later(self, watched: Watched) -> None:
        if not watched.is_retried:
            watched.is_retried = True
            self._reactor.at(Instant(clock.now() + RETRY_S), lambda: self._retry(watched))

    def _retry(self, watched: Watched) -> None:
        watched.is_retried = False
        if watched in self._servers:
            self._look(watched)

    def _tell(self, watched: Watched, reason: str) -> None:
        """Once for each reason: it is tried again and again."""
        if reason not in watched.told:
            watched.told.add(reason)
            self._log("control.lost", address=watched.server.address, reason=reason)

    def _restore(self, watched: Watched) -> None:
        watched.told.clear()
        self._log("control.restored", address=watched.server.address)
