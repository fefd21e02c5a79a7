"""Notices that a listener was shut down or its socket file taken away, and listens again. Host side.

A worker holds the very sockets that the master bound: shutdown(2) there closes the port for all, while every process
still looks well. The kernel tells without being asked (EPOLLHUP, epoll_ctl(2)), and of a socket file inotify(7) does:
a listener that is as it should be causes no wake-up. The set of listeners is an epoll instance inside the master's own,
because the selectors of Python watch nothing that is not to be read or written.

What can be mended is mended at once. A TCP socket listens again, in all processes, since all hold the same. A Unix
socket that was shut down never listens again, and one without its file cannot be reached: another is bound in its
place and handed to the workers that there are, whose code may not boot any more. A reload follows, so that new ones
do without the old socket. If another process has put its socket file there, that file is left
alone. Until it is mended the daemon is not ready, and tries again each second. An abstract name is free only when no
process has the socket any more, so that workers are asked to close it first. An inherited Unix socket cannot be bound
anew at all: what to do is said.
"""

from __future__ import annotations

import errno
import select
import sys
from collections.abc import Callable, Iterable
from typing import Final

from supervisor_d import clock
from supervisor_d.host.reactor import READ, Reactor
from supervisor_d.host.sockets.listener import Listener
from supervisor_d.host.unix_sockets.file_watch import FileWatch
from supervisor_d.log import Log
from supervisor_d.vocabulary import Fact, Instant, ListenerLost, ListenerRestored, Origin, ReloadRequested

RETRY_S: Final = 1.0
"""Between attempts to listen again; chosen."""


class ListenerWatch:
    """Watches the listeners it is given. `may_rebind` says whether a socket file that is gone is made anew."""

    def __init__(self, reactor: Reactor, log: Log, *, may_rebind: bool) -> None:
        self._reactor = reactor
        self._may_rebind = may_rebind
        self._renew: Callable[[Listener], Listener] | None = None
        self._by_descriptor: dict[int, Listener] = {}
        self._sockets = select.epoll() if sys.platform == "linux" else None
        self._files = FileWatch(reactor, log, self._compare_files)
        self._told: dict[str, str] = {}

    def open(self, listeners: Iterable[Listener], renew: Callable[[Listener], Listener]) -> None:
        """Watch these from now on. Elsewhere than on Linux nothing is noticed.

        `renew` has one listen again, or binds another in its place; it raises OSError.
        """
        self._renew = renew
        if self._sockets is None:
            return
        self._reactor.watch(self._sockets.fileno(), READ, self._look_at_sockets)
        for listener in tuple(listeners):
            self._add(listener)
        self._compare_files()  # a file may have gone before it was watched

    def forget(self, listener: Listener) -> None:
        """Stop watching a listener that is about to be closed, perhaps by a shutdown of our own."""
        if self._by_descriptor.pop(listener.socket.fileno(), None) is not None and self._sockets is not None:
            self._sockets.unregister(listener.socket.fileno())

    def close(self) -> None:
        for listener in tuple(self._by_descriptor.values()):
            self.forget(listener)
        if self._sockets is not None and not self._sockets.closed:
            self._reactor.forget(self._sockets.fileno())
            self._sockets.close()
        self._files.close()

    def _add(self, listener: Listener) -> None:
        if self._sockets is None or self._sockets.closed:
            return
        self._by_descriptor[listener.socket.fileno()] = listener
        self._sockets.register(listener.socket.fileno(), 0)
        if listener.path:
            self._files.add(listener.path)

    def _look_at_sockets(self, _: int) -> None:
        assert self._sockets is not None
        for descriptor, _events in self._sockets.poll(0):
            listener = self._by_descriptor.get(descriptor)
            if listener is not None:
                reason = "it was shut down by a process that holds it"
                self._tell(listener.address, reason)
                self.forget(listener)  # it would be told for ever
                if self._may_rebind or listener.what_is_wrong() is None:
                    self._mend(listener, reason)

    def _compare_files(self) -> None:
        """What has changed is looked up: an event may be of a mode, or of a file that was exchanged since."""
        for listener in tuple(self._by_descriptor.values()):
            wrong = listener.what_is_wrong()
            if wrong is not None:
                self._tell(listener.address, wrong)
                if self._may_rebind:
                    self.forget(listener)
                    self._mend(listener, wrong)
            elif self._told.pop(listener.address, None) is not None:  # its file was put back
                self._say(ListenerRestored(listener.address))

    def _mend(self, listener: Listener, reason: str) -> None:
        if self._sockets is None or self._sockets.closed or self._renew is None:
            return
        try:
            renewed = self._renew(listener)
        except OSError as error:
            if error.errno != errno.EBADF:  # closed meanwhile: the daemon stops
                self._tell(listener.address, f"{reason}; it cannot listen again: {error.strerror or error}")
                if error.errno != errno.EOPNOTSUPP:
                    self._reactor.at(Instant(clock.now() + RETRY_S), lambda: self._mend(listener, reason))
            return
        self._add(renewed)
        self._told.pop(listener.address, None)
        self._say(ListenerRestored(listener.address))
        if renewed is not listener:
            self._say(ReloadRequested(Origin("listener", listener.address)))

    def _tell(self, address: str, reason: str) -> None:
        """Once for each reason: it is tried again each second."""
        if self._told.get(address) != reason:
            self._told[address] = reason
            self._say(ListenerLost(address, reason))

    def _say(self, fact: Fact) -> None:
        self._reactor.tell(fact)
