"""Children of this process that are not the daemon's: a script that calls run() may have some. Host side.

They are the script's to wait for. The daemon reaps all that are not, since orphans of its workers come to it, too. The
script's are those that are there at the start, and those that its other threads start: the kernel lists children by the
thread that forked them, and gives orphans to the first thread, in which the daemon runs. A child whose thread has ended
is the first thread's from then on: it is remembered if it was seen before.

The two lists are read in one go. If the foreign children were read first, and all children after them, a child that
another thread starts between the two would be taken for an orphan: reaped, or ended as what a worker left behind.

A command has no such children: nothing else waits for what a shell started before it executed the daemon.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator

from server_core.records import dataclass
from supervisor_d.host.processes.descendants import children_by_thread


@dataclass(slots=True)
class ForeignChildren:
    """None, until spare() is called."""

    _are_spared: bool = False
    _known: frozenset[int] = frozenset()

    def spare(self) -> None:
        """All children that there are now are foreign, and so are those that other threads start."""
        listed = children_by_thread(os.getpid())
        self._are_spared, self._known = True, frozenset(pid for pids in listed.values() for pid in pids)

    def pids(self) -> frozenset[int]:
        """All that are known; those that are seen for the first time, too."""
        self._look()
        return self._known

    def ended(self, ours: Iterable[int]) -> Iterator[tuple[int, int]]:
        """Reap every child that has ended and is not foreign: its pid, and its status as wait(2) has it.

        `ours` are reaped in any case: a pid may have been a foreign child's before, and the kernel may keep no lists.
        """
        if self._are_spared:
            for pid in {*ours, *self._look()}:
                yield from _reaped(pid)
        else:
            while found := [*_reaped(-1)]:
                yield from found

    def _look(self) -> set[int]:
        """Remember the foreign children that there are now, and forget those that are none any more; all others."""
        if not self._are_spared:
            return set()
        listed = children_by_thread(os.getpid())
        first = listed.pop(os.getpid(), [])
        seen = self._known.union(*listed.values())
        self._known = frozenset(filter(_is_child, seen))
        return {*first} - seen


def _is_child(pid: int) -> bool:
    """Whether it is a child of this process that was not waited for yet."""
    try:
        os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        return False
    return True


def _reaped(pid: int) -> Iterator[tuple[int, int]]:
    try:
        ended, status = os.waitpid(pid, os.WNOHANG)
    except ChildProcessError:
        return
    if ended:
        yield ended, status
