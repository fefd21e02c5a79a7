"""Which connections have something to do.

All of a server's connections are watched by one epoll(7) instance, and the event loop watches that. Rejected: each by
the loop itself (add_reader()). uvloop makes three system calls more for a connection and keeps an object of each, and
when a reset comes together with bytes it reads once and never tells of the reset (0.23; libuv's uv__poll_io() stops at
POLLERR). A wake-up costs one system call more, whatever the number of connections that caused it.

Where there is no epoll (not Linux), the loop does watch each.
"""

from __future__ import annotations

import select
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Final, Protocol

if TYPE_CHECKING:
    from server_core.runtime.server_loop import ServerLoop

from server_core.runtime.forked_child import add_poller

if sys.platform == "linux":
    _new_epoll = select.epoll
"""As it is before the application is imported: gevent and eventlet take it out of the module."""

READ: Final[int] = select.POLLIN
WRITE: Final[int] = select.POLLOUT
"""The same numbers in poll(2) and epoll_ctl(2). Errors and hang-ups are told unasked, and count as both."""

TURN: Final = 256
"""Connections that are told before the loop's other work has its turn. Chosen: at 12 us for a request about 3 ms."""


def nothing() -> None:
    """What there is to do after a turn, unless something is."""


class Watched(Protocol):
    """Who is told: a Stream."""

    def ready(self, events: int) -> None:
        """Some of what was asked for, or an error; nothing is raised."""


class Poller(Protocol):
    """Tells whoever watches a descriptor. Level-triggered: as long as there is something to do."""

    def watch(self, fd: int, who: Watched, before: int, events: int) -> None:
        """Tell of these events from now on, instead of `before`; 0 is none."""

    def newly_watched(self) -> list[int]:
        """Descriptors that are watched and were not at the last call; at the first call all of them."""

    def close(self) -> None:
        """Tell nobody any more."""


class EpollPoller:
    """By an epoll instance of its own."""

    __slots__ = ("_after", "_epoll", "_loop", "_new", "_watched")

    def __init__(self, loop: ServerLoop, after: Callable[[], object] = nothing) -> None:
        self._loop = loop
        self._after = after
        self._watched: dict[int, Watched] = {}
        self._new: list[int] | None = None
        self._epoll = _new_epoll()
        add_poller(self._epoll)
        loop.add_reader(self._epoll.fileno(), self._turn)

    def watch(self, fd: int, who: Watched, before: int, events: int) -> None:
        if self._epoll.closed:
            return  # who ends after that is told of its end all the same
        if not events:
            # Before the descriptor is closed: a process that an application forked may hold a copy of it, with which
            # epoll(7) would go on telling of it.
            del self._watched[fd]
            self._epoll.unregister(fd)
        elif before:
            self._epoll.modify(fd, events)
        else:
            self._epoll.register(fd, events)
            self._watched[fd] = who
            if self._new is not None:
                self._new.append(fd)

    def _turn(self) -> None:
        watched = self._watched
        for fd, events in self._epoll.poll(0, TURN):
            who = watched.get(fd)
            if who is not None:  # ended by another of these
                who.ready(events)
        self._after()

    def newly_watched(self) -> list[int]:
        new, self._new = self._new, []
        return list(self._watched) if new is None else [fd for fd in new if fd in self._watched]

    def close(self) -> None:
        if not self._epoll.closed:
            self._loop.remove_reader(self._epoll.fileno())
            self._epoll.close()


class LoopPoller:
    """By the event loop."""

    __slots__ = ("_after", "_loop")

    def __init__(self, loop: ServerLoop, after: Callable[[], object] = nothing) -> None:
        self._loop = loop
        self._after = after

    def watch(self, fd: int, who: Watched, before: int, events: int) -> None:
        if events & ~before & READ:
            self._loop.add_reader(fd, self._tell, who)
        elif before & ~events & READ:
            self._loop.remove_reader(fd)
        if events & ~before & WRITE:
            self._loop.add_writer(fd, who.ready, WRITE)
        elif before & ~events & WRITE:
            self._loop.remove_writer(fd)

    def _tell(self, who: Watched) -> None:
        who.ready(READ)
        self._after()

    def newly_watched(self) -> list[int]:
        return []  # what is looked at on them (listener_guard.py) is Linux's

    def close(self) -> None:
        pass


def new_poller(loop: ServerLoop, after: Callable[[], object] = nothing) -> Poller:
    """The one for this platform; it calls `after` when it has told what there was to tell in a turn of the loop."""
    return EpollPoller(loop, after) if sys.platform == "linux" else LoopPoller(loop, after)
