"""Children of this process that are not the daemon's: a script that calls run() may have some. Host side.

They are the script's to wait for. The daemon reaps all that are not, since orphans of its workers come to it, too. The
script's are those that are there at the start, and those that its other threads start: the kernel lists children by the
thread that forked them (proc_tid_children(5)), and gives orphans to the first thread, in which the daemon runs. A child
whose thread has ended is the first thread's from then on: it is remembered if it was seen before.

A command has no such children: nobody else waits for what a shell started before it executed the daemon.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from server_core.records import dataclass

TASKS: Final = Path("/proc/self/task")


@dataclass(slots=True)
class Others:
    """Nobody, until spare() is called."""

    _are_spared: bool = False
    _first: frozenset[int] = frozenset()
    _seen: frozenset[int] = frozenset()

    def spare(self) -> None:
        """All children that there are now are others', and so are those that other threads start."""
        self._are_spared, self._first = True, frozenset(_children())

    def pids(self) -> frozenset[int]:
        """All that are known; those that are seen for the first time, too."""
        if self._are_spared:
            threads = {int(task.name) for task in _tasks()} - {os.getpid()}
            self._seen = (self._seen | {pid for thread in threads for pid in _children(thread)}) & {*_children()}
        return self._first | self._seen

    def ended(self) -> Iterator[tuple[int, int]]:
        """Reap every child that has ended and is not others': its pid, and its status as wait(2) has it."""
        if self._are_spared:
            others = self.pids()
            for pid in [pid for pid in _children() if pid not in others]:
                yield from _reaped(pid)
        else:
            while found := [*_reaped(-1)]:
                yield from found


def _tasks() -> list[Path]:
    try:
        return list(TASKS.iterdir())
    except OSError:  # not Linux: the daemon then reaps nobody but its workers
        return []


def _children(*threads: int) -> list[int]:
    """The children that these threads forked, zombies, too; by default those of all."""
    found: list[int] = []
    for task in [TASKS / str(thread) for thread in threads] or _tasks():
        try:
            found += map(int, (task / "children").read_text().split())
        except OSError:  # the thread has ended
            continue
    return found


def _reaped(pid: int) -> Iterator[tuple[int, int]]:
    try:
        ended, status = os.waitpid(pid, os.WNOHANG)
    except ChildProcessError:
        return
    if ended:
        yield ended, status
