"""What a process that the application forks inherits of its worker, and is relieved of before it runs on.

fork(2) copies all of a worker. A SIGTERM to the child would be heard by the worker, through the handler and the wake-up
descriptor. The child would keep the listeners and the clients' connections open, and the pipe, which would hide the
worker's end from the master. Its event loop's epoll instance is the worker's (epoll(7)), so that the child could take
events and watches away. So a child of multiprocessing or os.fork(), and a daemon that forks twice, becomes a process of
the application's own: default signals, and none of these.

Descriptors are replaced, not closed: by the null device, or by an epoll instance with nothing in it. Objects of the
worker are still there in the child, and would close the same numbers again when they are collected, by when these may
be other files'. Nothing is removed from the worker's epoll instances.

A child whose code returns to the worker's event loop, or from a WSGI application, ends there: what runs next would be
other clients' requests. Only code that calls os.fork() and does not end the child can come to that.

os.register_at_fork() is what does it. Programs that are executed need none of it: execve(2) resets handlers and closes
descriptors (PEP 446). A fork by C code that does not call PyOS_AfterFork_Child() goes unseen; no Python can run there.
A child needs a descriptor for that (to list those that are open, for the empty epoll instance), and a process that
forks may have none left. So it holds the null device twice in reserve, and the child closes one of the two. Where the
limit (RLIMIT_NOFILE) was lowered below the numbers in use, the child lifts it for that moment, as far as it may.

Rejected: MADV_WIPEONFORK and close-on-fork flags, which Linux has for memory only.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import resource
import select
import signal
import socket
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Final, Protocol, TypeVar

from server_core.exit_codes import EXIT_INTERNAL
from server_core.log import Log
from server_core.runtime.early_signals import restore_signals

T = TypeVar("T")

DESCRIPTORS: Final = Path("/proc/self/fd") if sys.platform == "linux" else Path("/dev/fd")

LOOP_FILES: Final = ("anon_inode:[eventpoll]", "anon_inode:[io_uring]")
"""What an event loop waits with, as proc_pid_fd(5) names it."""


AT_RETURN: Final[list[Callable[[], object]]] = []
"""What ends a forked child whose code comes back to the server in another way than through the event loop: a WSGI
application that returns. Empty in a worker."""


class File(Protocol):
    """Something with a descriptor."""

    def fileno(self) -> int:
        """The descriptor; negative, or ValueError, if it is closed."""


class Memory(Protocol):
    """Something mapped."""

    def close(self) -> None: ...


class Belongings:
    """What belongs to one worker, or template, and not to what its application forks.

    `descriptors` stay open as long as it lives; `listeners` may be closed, and tell which connections are clients'.
    `relieve` is called in the child.
    """

    def __init__(
        self,
        log: Log,
        listeners: Iterable[int],
        descriptors: Iterable[int] = (),
        relieve: Callable[[], object] = lambda: None,
    ) -> None:
        self._log = log
        self._places = {place for fd in listeners if (place := _place(fd)) is not None}
        self._descriptors = list(descriptors)
        self._relieve = relieve
        self._memories: list[Memory] = []
        self._pollers: list[File] = []
        self._loop: asyncio.AbstractEventLoop | None = None
        self._loop_files: frozenset[int] = frozenset()
        self._loop_thread = 0
        self._reserve = [os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC) for _ in range(2)]

    def close(self) -> None:
        """Give the reserve back. Nothing that belongs to the worker is closed."""
        while self._reserve:
            os.close(self._reserve.pop())

    def add_memory(self, *memories: Memory | None) -> None:
        """Memory that is shared with other processes."""
        self._memories += [memory for memory in memories if memory is not None]

    def add_poller(self, poller: File) -> None:
        """An epoll instance."""
        self._pollers.append(poller)

    def of_loop(self, main: Callable[[asyncio.AbstractEventLoop], T]) -> Callable[[asyncio.AbstractEventLoop], T]:
        """`main`, which is called with the event loop that is made next, in this thread, and belongs here, too."""
        others = _loop_files()

        def begin(loop: asyncio.AbstractEventLoop) -> T:
            self._loop, self._loop_files, self._loop_thread = loop, _loop_files() - others, threading.get_ident()
            return main(loop)

        return begin

    def relinquish(self) -> None:
        """Keep nothing of it. For the child, in its only thread, with every signal blocked."""
        signal.set_wakeup_fd(-1)
        restore_signals()
        self._relieve()
        for memory in self._memories:
            with contextlib.suppress(BufferError):
                memory.close()
        os.close(self._reserve.pop())  # room for one, whatever else is open
        with _every_number():
            _replace([*self._descriptors, *self._sockets()], self._reserve[0])
            if sys.platform == "linux":
                with select.epoll() as empty:
                    _replace(self._epolls(), empty.fileno())
        self.close()
        AT_RETURN.append(self._end)
        if self._loop is not None and self._loop_thread == threading.get_ident() and not self._loop.is_closed():
            self._loop.call_soon(self._end)

    def _epolls(self) -> list[int]:
        numbers = [number for number in self._loop_files if _target(number) in LOOP_FILES]
        for poller in self._pollers:
            with contextlib.suppress(ValueError):
                numbers.append(poller.fileno())
        return numbers

    def _sockets(self) -> list[int]:
        """Listeners and the clients' connections: all that have a listener's port, or path."""
        return [number for number in _open_descriptors() if _place(number) in self._places]

    def _end(self) -> None:
        self._log("fork.returned", pid=os.getpid(), worker_pid=os.getppid())
        os._exit(EXIT_INTERNAL)


@contextlib.contextmanager
def _every_number() -> Iterator[None]:
    """Any number may be a descriptor's meanwhile: the application may have lowered the limit below those in use."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def _open_descriptors() -> list[int]:
    """Every open descriptor, and the one with which they were listed; none where there is no such list."""
    try:
        return [int(name) for name in os.listdir(DESCRIPTORS)]
    except OSError:
        return []


def _loop_files() -> frozenset[int]:
    """What all event loops of this process wait with, where the kernel tells."""
    return frozenset(number for number in _open_descriptors() if _target(number) in LOOP_FILES)


def _target(number: int) -> str:
    try:
        return os.readlink(DESCRIPTORS / str(number))
    except OSError:
        return ""


def _place(number: int) -> object:
    """The port or path that a stream socket is bound to; None of anything else."""
    try:
        sock = socket.socket(fileno=number)
    except OSError:
        return None
    try:
        name = sock.getsockname()
        if sock.type != socket.SOCK_STREAM or not name:
            return None
        if sock.family == socket.AF_UNIX:
            return name
        return name[1] if sock.family in (socket.AF_INET, socket.AF_INET6) else None
    except OSError:
        return None
    finally:
        sock.detach()


def _replace(numbers: Iterable[int], by: int) -> None:
    """Let these descriptors be of the file that `by` is of."""
    for number in numbers:
        if number >= 0:
            with contextlib.suppress(OSError):
                os.dup2(by, number, inheritable=False)


class _Forks:
    """What the hooks of this interpreter know; they cannot be unregistered, and are inherited by forks."""

    def __init__(self) -> None:
        self.belongings: Belongings | None = None
        self.are_registered = False
        self.are_workers = False
        self._masks: dict[int, set[int]] = {}

    def register(self) -> None:
        if not self.are_registered:
            self.are_registered = True
            os.register_at_fork(before=self._before, after_in_parent=self._in_parent, after_in_child=self._in_child)

    def _before(self) -> None:
        """Block every signal: one that came before the child is relieved would be heard by the worker."""
        if not self.are_workers:
            self._masks[threading.get_ident()] = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())

    def _in_parent(self) -> None:
        mask = self._masks.pop(threading.get_ident(), None)
        if mask is not None:
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)

    def _in_child(self) -> None:
        if self.are_workers:
            return
        belongings, self.belongings = self.belongings, None
        try:
            if belongings is not None:
                belongings.relinquish()
        finally:
            self._in_parent()
            self._masks.clear()


_FORKS: Final = _Forks()


def withhold(belongings: Belongings) -> None:
    """From now on let no child of the application have these, which replace what was withheld before."""
    if _FORKS.belongings is not None:
        _FORKS.belongings.close()
    _FORKS.belongings = belongings
    _FORKS.register()


def add_poller(poller: File) -> None:
    """An epoll instance of this process, if it withholds anything."""
    if _FORKS.belongings is not None:
        _FORKS.belongings.add_poller(poller)


@contextlib.contextmanager
def withholding(belongings: Belongings) -> Iterator[Belongings]:
    """Inside of it, the same; for a process that goes on after it has served."""
    withhold(belongings)
    try:
        yield belongings
    finally:
        _FORKS.belongings = None
        belongings.close()


@contextlib.contextmanager
def of_workers() -> Iterator[None]:
    """Forks inside of it are of workers, and inherit all."""
    _FORKS.are_workers = True
    try:
        yield
    finally:
        _FORKS.are_workers = False
