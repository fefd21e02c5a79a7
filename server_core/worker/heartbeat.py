"""Beats: proof from inside the event loop, and from a second thread, that each of them still turns.

The loop's beat is one timer, re-armed; in the same call it does what is due once a second anyway (the server's sweep
over its deadlines, the figures). When the loop is blocked its instant grows old while the thread's does not; when C
code holds the interpreter, or the process is stopped, both do.

The thread sleeps in poll(2). That watches the pipe, too, so that a worker whose loop is blocked still notices that its
master is gone, and ends itself after the time that a drain would have had. While the loop beats nobody asks for the
thread's instant, so that it sleeps for several beats at a time: soon enough to have noticed a silence, and to beat
with the loop's own interval, before the master looks for the reason.

What is left to an idle worker is the loop's timer. On uvloop that takes two epoll_wait(2): a TimerHandle closes its
uv_timer_t once it has run, and libuv does not sleep before it has finished a close. Rejected: a timerfd, whose read(2)
is a second call, too; an edge-triggered one would need none, but could only be put into libuv's own epoll set behind
its back. asyncio's loop makes one call.
"""

from __future__ import annotations

import _thread
import asyncio
import os
import select
import time
from collections.abc import Callable
from typing import Final, Protocol

from server_core.contract.figures import Figures
from server_core.contract.scoreboard import InFlight
from server_core.exit_codes import EXIT_INTERNAL
from server_core.worker.debugger import be_spared, is_debugged, stops_threads
from server_core.worker.scoreboard import Scoreboard

_start_thread, _new_lock, _new_poll = _thread.start_new_thread, _thread.allocate_lock, select.poll
"""As they are before the application is imported. gevent and eventlet replace them, and a thread of theirs would be the
loop's own; they also make new locks for those of threading, which a Thread of that would be caught between."""

SILENT_BEATS: Final = 2
"""Beats the loop may miss before the thread tells what is in flight; one may be late on a busy machine."""


class Observed(Protocol):
    """What a heartbeat asks of a server."""

    def sweep(self, now: float) -> None: ...

    def figures(self) -> Figures: ...

    def in_flight(self) -> list[InFlight]: ...


class LoopBeat:
    """The beats of the event loop. The instants are time.monotonic's, whatever clock the loop itself goes by.

    `also` is called with each beat.
    """

    def __init__(
        self,
        scoreboard: Scoreboard,
        server: Observed,
        *,
        beat_s: float,
        pid: int,
        generation: int,
        also: Callable[[], object] = lambda: None,
    ) -> None:
        self._also = also
        self._scoreboard = scoreboard
        self._server = server
        self._beat_s = beat_s
        self._pid = pid
        self._generation = generation
        self._due_at = 0.0
        self._timer: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """Beat now, and from now on until stop()."""
        self._due_at = time.monotonic()
        self._beat(asyncio.get_running_loop())

    def stop(self) -> None:
        """The last beat's figures may be a second old; what the record holds from now on is how it ended."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
            self._observe(0.0)

    def _beat(self, loop: asyncio.AbstractEventLoop) -> None:
        now = time.monotonic()
        self._timer = loop.call_later(self._beat_s, self._beat, loop)
        self._scoreboard.beat_loop(now)
        self._server.sweep(loop.time())
        self._also()
        self._observe(max(0.0, now - self._due_at))
        self._due_at = now + self._beat_s

    def _observe(self, lag_s: float) -> None:
        served = self._server.figures()
        self._scoreboard.store_figures(served._replace(pid=self._pid, generation=self._generation, loop_lag_s=lag_s))
        self._scoreboard.store_in_flight(self._server.in_flight())


class ThreadBeat:
    """The second thread: its own beats, the in-flight table while the loop is silent, and an eye on the master.

    `orphan_timeout_s` is how long the process may live on once the pipe has hung up. Start it while signals are
    blocked: the thread keeps that mask, so that every signal goes to the main thread.
    """

    def __init__(
        self, scoreboard: Scoreboard, *, pipe_fd: int, beat_s: float, watch_s: float, orphan_timeout_s: float
    ) -> None:
        self._scoreboard = scoreboard
        self._beat_s = beat_s
        self._watch_s = watch_s
        self._orphan_timeout_s = orphan_timeout_s
        self._in_flight: Callable[[], list[InFlight]] | None = None
        self._poll = _new_poll()
        self._poll.register(pipe_fd, 0)  # no event asked for: POLLHUP is told all the same (poll(2))
        self._pipe_fd = pipe_fd
        self._loop_thread = _thread.get_ident()
        """That which made this: the loop will run there."""
        self._is_exposed = _new_lock()
        """Held as long as a debugger may stop the thread."""
        self._is_exposed.acquire()
        self.native_id = 0
        """The kernel's number of the thread, once it runs."""

    def start(self) -> None:
        _start_thread(self._run, ())

    def watch(self, in_flight: Callable[[], list[InFlight]]) -> None:
        """From now on tell these requests while the loop is silent; called from this thread.

        Where the application has loaded a debugger, this waits until that cannot stop the thread any more: one beat,
        for the thread does not rest longer before.
        """
        if stops_threads():
            self._is_exposed.acquire(timeout=SILENT_BEATS * self._beat_s)
        self._in_flight = in_flight

    def _run(self) -> None:
        self.native_id = _thread.get_native_id()
        deadline: float | None = None
        while True:
            now = time.monotonic()
            rest_s = self.beat(now)
            if deadline is None:
                if self._poll.poll(int(rest_s * 1000)):
                    self._poll.unregister(self._pipe_fd)
                    deadline = time.monotonic() + self._orphan_timeout_s
            elif now >= deadline:
                os._exit(EXIT_INTERNAL)  # the main thread had its time; nothing else can end a blocked process
            else:
                self._poll.poll(int(min(rest_s, deadline - now) * 1000) + 1)

    def beat(self, now: float) -> float:
        """One beat of the thread, which calls it; how long it may rest until its next one."""
        self._scoreboard.beat_thread(now)
        if self._is_exposed.locked() and be_spared():
            self._is_exposed.release()
        beat_at = self._scoreboard.loop_beat_at()
        if not beat_at:
            return self._beat_s  # no loop yet
        if now - beat_at <= SILENT_BEATS * self._beat_s:
            return self._beat_s if self._in_flight is None else self._watch_s
        if is_debugged(self._loop_thread):
            self._scoreboard.beat_loop(now)  # it is stopped on purpose, and by a person: that is no hang
            return self._beat_s
        if self._in_flight is not None:
            self._scoreboard.store_in_flight(self._in_flight())
        return self._beat_s
