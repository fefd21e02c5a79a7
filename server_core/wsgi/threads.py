"""A pool of threads for one server's requests, each with one hand-over: the thread that runs it answers it.

A request wakes one thread, and while that is on its way no other: requests that were read together are mostly run
before a second thread would have had the interpreter, and each switch of threads costs as much as a small request.
Where the first one waits for something, the loop looks after STALL_S, and wakes the next, as long as any request waits.

The threads are the pool's own, made when they are needed: not of concurrent.futures, whose threads the interpreter
waits for at its end, so that one that is stuck would keep a worker for ever.
"""

from __future__ import annotations

import _thread
import threading
from collections import deque
from collections.abc import Callable
from time import monotonic
from typing import TYPE_CHECKING, Final, Protocol

if TYPE_CHECKING:
    from server_core.runtime.server_loop import ServerLoop

STALL_S: Final = 0.001
"""After which a request that waits gets a thread of its own if one is idle. Chosen: hello takes 0.05 ms."""

_start, new_lock, new_rlock = _thread.start_new_thread, _thread.allocate_lock, threading.RLock
"""As they are before the application is imported: gevent's threads would be the loop's own."""


class Timer(Protocol):
    """What calls later, in the loop's thread."""

    def call_later(self, when: float, callback: Callable[[], object], /) -> object: ...


class Job(Protocol):
    """What a thread does."""

    def work(self) -> None:
        """Raises nothing."""


class Pool:
    """At most `size` threads."""

    __slots__ = ("_idle", "_is_over", "_is_waking", "_is_watched", "_jobs", "_loop", "running", "size", "started")

    def __init__(self, size: int, loop: Timer) -> None:
        self.size = size
        self.started = 0
        self.running: dict[int, tuple[float, Job]] = {}
        """By the thread's identifier: since when it runs which job."""
        self._loop = loop
        self._jobs: deque[Job] = deque()
        self._idle: list[_thread.LockType] = []
        self._is_waking = self._is_watched = self._is_over = False

    @property
    def queued(self) -> int:
        """Jobs that no thread has taken."""
        return len(self._jobs)

    def submit(self, job: Job) -> None:
        """Have it run by a thread. For the loop's thread."""
        self._jobs.append(job)
        if not self._is_waking:
            self._wake()
        elif not self._is_watched:
            self._watch()

    def _wake(self) -> None:
        """Let one more thread look for jobs, if there is one."""
        try:
            lock = self._idle.pop()
        except IndexError:
            if self.started < self.size:
                self.started += 1
                self._is_waking = True
                _start(self._work, (self.started,))
            return
        self._is_waking = True
        lock.release()

    def _watch(self) -> None:
        if self._idle or self.started < self.size:
            self._is_watched = True
            self._loop.call_later(STALL_S, self._look)

    def _look(self) -> None:
        self._is_watched = False
        if self._jobs:
            if not self._is_waking:
                self._wake()
            self._watch()

    def _work(self, number: int) -> None:
        """The life of a thread."""
        lock, me, jobs, running = new_lock(), _thread.get_ident(), self._jobs, self.running
        lock.acquire()
        threading.current_thread().name = f"wsgi-{number}"
        self._is_waking = False
        while not self._is_over:
            try:
                job = jobs.popleft()
            except IndexError:
                self._idle.append(lock)
                if not jobs or not self._withdraw(lock):
                    lock.acquire()  # until a job wakes it
                    self._is_waking = False
                continue
            running[me] = monotonic(), job
            job.work()
            del running[me]
            del job

    def _withdraw(self, lock: _thread.LockType) -> bool:
        """Not to be woken after all; False if another thread is about to wake it."""
        try:
            self._idle.remove(lock)
        except ValueError:
            return False
        return True

    def close(self) -> None:
        """Let the threads end that are idle, and the others when they have done what they do."""
        self._is_over = True
        while self._idle:
            self._idle.pop().release()


class Returns:
    """What threads hand back to the loop: called there, all that has come since its last turn at once."""

    __slots__ = ("_is_called", "_loop", "_returned")

    def __init__(self, loop: ServerLoop) -> None:
        self._loop = loop
        self._returned: deque[Callable[[], object]] = deque()
        self._is_called = False

    def post(self, callback: Callable[[], object]) -> None:
        """Have the loop call this soon. From any thread."""
        self._returned.append(callback)
        if not self._is_called:
            self._is_called = True
            try:
                self._loop.asyncio_loop.call_soon_threadsafe(self._turn, context=self._loop.context)
            except RuntimeError:  # the loop is closed: the worker has ended without waiting for this thread
                pass

    def _turn(self) -> None:
        self._is_called = False
        returned = self._returned
        while returned:
            returned.popleft()()
