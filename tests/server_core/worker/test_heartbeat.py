"""Beats, apart from the worker: what one beat of the loop does, and what the thread does alone."""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from server_core.contract.figures import Figures
from server_core.contract.scoreboard import InFlight, unpack_in_flight
from server_core.settings.declaration import ServerSettings
from server_core.worker.heartbeat import LoopBeat, ThreadBeat
from server_core.worker.scoreboard import Scoreboard
from supervisor_d.settings.declaration import DaemonSettings, Settings
from supervisor_d.settings.policy_terms import terms
from tests.helpers.worker import DEADLINE_S, ROOT


class Observed:
    """A server that counts how often it is looked at, and lets the test on at the third sweep."""

    def __init__(self) -> None:
        self.swept_at: list[float] = []
        self.thrice = asyncio.Event()
        self.requests = [InFlight(1.0, "GET", "/")]

    def sweep(self, now: float) -> None:
        self.swept_at.append(now)
        if len(self.swept_at) == 3:
            self.thrice.set()

    def figures(self) -> Figures:
        return Figures(connections=1, in_flight=2, requests_total=3, responses=(4, 5, 6, 7, 8), threads=20)

    def in_flight(self) -> list[InFlight]:
        return self.requests


class Board(Scoreboard):
    """A scoreboard that says when a thread has stored something."""

    def __init__(self) -> None:
        private = Scoreboard.private()
        super().__init__(private._memory)
        self.beaten = threading.Event()
        self.told = threading.Event()

    def beat_thread(self, now: float) -> None:
        super().beat_thread(now)
        self.beaten.set()

    def store_in_flight(self, entries: list[InFlight]) -> None:
        super().store_in_flight(entries)
        self.told.set()


@pytest.fixture(autouse=True)
def no_thread_is_left() -> Iterator[None]:
    """Not of threading.enumerate(), which does not know those of _thread."""
    tasks = Path("/proc/self/task")
    before = set(os.listdir(tasks)) if tasks.exists() else set()
    yield
    assert not before or set(os.listdir(tasks)) <= before


def test_a_beat_sweeps_by_the_loops_clock_and_stores_instants_and_figures() -> None:
    board, server = Board(), Observed()

    async def main() -> float:
        loop = asyncio.get_running_loop()
        began_at = loop.time()
        beat = LoopBeat(board, server, beat_s=0.001, pid=7, generation=2)
        beat.start()
        await asyncio.wait_for(server.thrice.wait(), DEADLINE_S)
        beat.stop()
        return began_at

    began_at = asyncio.run(main())
    assert began_at <= server.swept_at[0] <= server.swept_at[1] <= server.swept_at[2]
    assert 0 < board.loop_beat_at() <= time.monotonic()
    assert board.told.is_set()
    board.close()


def test_a_stopped_beat_does_not_come_again() -> None:
    board, server = Board(), Observed()

    async def main() -> None:
        loop = asyncio.get_running_loop()
        beat = LoopBeat(board, server, beat_s=0.0, pid=7, generation=2)
        beat.start()
        beat.stop()
        fence = loop.create_future()
        loop.call_later(0.001, fence.set_result, None)
        await fence

    asyncio.run(main())
    assert len(server.swept_at) == 1
    board.close()


def test_a_stopped_beat_leaves_what_is_true_at_the_end() -> None:
    board, server = Board(), Observed()

    async def main() -> None:
        beat = LoopBeat(board, server, beat_s=3600.0, pid=7, generation=2)
        beat.start()
        assert unpack_in_flight(bytes(board._memory)) == server.requests
        server.requests = []
        beat.stop()

    asyncio.run(main())
    assert unpack_in_flight(bytes(board._memory)) == []
    board.close()


def beat_without_a_loop() -> None:
    board = Board()
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ThreadBeat(board, pipe_fd=ours.fileno(), beat_s=0.001, watch_s=0.001, orphan_timeout_s=3600).start()
        assert board.beaten.wait(DEADLINE_S)
        assert not board.told.is_set()


def beat_beside_a_silent_loop() -> None:
    board = Board()
    ours, theirs = socket.socketpair()
    with ours, theirs:
        board.beat_loop(time.monotonic())
        thread = ThreadBeat(board, pipe_fd=ours.fileno(), beat_s=0.001, watch_s=0.001, orphan_timeout_s=3600)
        thread.watch(lambda: [InFlight(1.0, "GET", "/")])
        thread.start()
        assert board.told.wait(DEADLINE_S)


def apart(scene: Callable[[], None]) -> None:
    """Play it in a process of its own, with which its thread ends: by itself that never does."""
    program = f"from {scene.__module__} import {scene.__name__} as play; play()"
    subprocess.run([sys.executable, "-c", program], cwd=ROOT, check=True, timeout=2 * DEADLINE_S)


def test_the_thread_beats_before_there_is_a_loop_and_tells_nothing_in_flight() -> None:
    apart(beat_without_a_loop)


def test_the_thread_tells_what_is_in_flight_once_the_loop_is_silent() -> None:
    apart(beat_beside_a_silent_loop)


@pytest.mark.parametrize("timeout", [1.0, 2.0, 3.0, 4.0, 6.0, 7.9, 8.0, 30.0, 40.0, 1000.0])
def test_a_thread_that_rests_has_noticed_a_silence_before_the_master_asks_why(timeout: float) -> None:
    """Wherever between two of its looks the loop has beaten for the last time."""
    made = terms(Settings(daemon=DaemonSettings(timeout=timeout), server=ServerSettings()), pid1=False)
    for tenth in range(10):
        board = Board()
        ours, theirs = socket.socketpair()
        with ours, theirs:
            thread = ThreadBeat(
                board, pipe_fd=ours.fileno(), beat_s=made.beat_s, watch_s=made.watch_s, orphan_timeout_s=3600
            )
        thread.watch(list)
        last_beat_at = 1000.0
        board.beat_loop(last_beat_at)
        looked_at, look_at = 0.0, last_beat_at + made.watch_s * tenth / 10
        while look_at < last_beat_at + timeout:
            looked_at = look_at
            look_at += thread.beat(looked_at)
        assert board.told.is_set()
        assert last_beat_at + timeout - looked_at < timeout / 2  # what liveness takes for a blocked loop
        board.beat_loop(looked_at)
        assert thread.beat(looked_at) == made.watch_s


def test_a_thread_without_a_loop_keeps_its_beat() -> None:
    board = Board()
    ours, theirs = socket.socketpair()
    with ours, theirs:
        thread = ThreadBeat(board, pipe_fd=ours.fileno(), beat_s=1.0, watch_s=7.5, orphan_timeout_s=3600)
    assert thread.beat(1000.0) == 1.0


@pytest.mark.parametrize("still_open", [False, True])
def test_the_thread_ends_the_process_only_after_the_pipe_has_hung_up(still_open: bool) -> None:
    script = (
        "import socket, sys\n"
        "from server_core.worker.heartbeat import ThreadBeat\n"
        "from server_core.worker.scoreboard import Scoreboard\n"
        "ours, theirs = socket.socketpair()\n"
        "ThreadBeat(Scoreboard.private(), pipe_fd=ours.fileno(), beat_s=0.01, watch_s=1, "
        "orphan_timeout_s=0.05).start()\n"
        "sys.stdin.read(1) if sys.argv[1] == 'True' else theirs.close() or sys.stdin.read()\n"
    )
    with subprocess.Popen([sys.executable, "-c", script, str(still_open)], cwd=ROOT, stdin=subprocess.PIPE) as process:
        assert process.stdin is not None
        if still_open:
            process.stdin.write(b"x")  # it lives to read this, and ends by itself
            process.stdin.flush()
        assert process.wait(DEADLINE_S) == (0 if still_open else 1)
