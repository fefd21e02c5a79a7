"""Who goes first when memory runs out: a worker, which is replaced, rather than the master, which replaces. Host side.

A process may always make itself a likelier victim, but a less likely one only with CAP_SYS_RESOURCE (proc(5),
/proc/pid/oom_score_adj). So the master lowers its own score where it may, and gives every worker the one that it had
before; where it may not, or where another process has set it already, all of them keep what they were given.
"""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Final

OWN: Final = Path("/proc/self/oom_score_adj")

LESS: Final = 500
"""Taken off the master's score: half of all memory's worth. Chosen: a master has a hundredth of it at most, and is
still killed if it alone should eat everything, which -1000 would forbid."""

LOWEST: Final = -999


class OomScore:
    """Lowers this process's score from protect() to restore()."""

    def __init__(self, own: Path = OWN) -> None:
        self._own = own
        self.workers: int | None = None
        """What workers are to have, or None if they inherit the right one."""

    def protect(self) -> None:
        """Lower our own score, if we may; else nothing is changed."""
        try:
            before = int(self._own.read_text())
            if before >= 0:  # who lowered it already has thought of it
                self._own.write_text(str(max(LOWEST, before - LESS)))
                self.workers = before
        except (OSError, ValueError):  # EACCES: not allowed; ENOENT: not Linux, or no /proc
            return

    def restore(self) -> None:
        """Have our own score as it was before protect()."""
        if self.workers is not None:
            with contextlib.suppress(OSError):  # a process may always make itself a likelier victim; /proc may be gone
                self._own.write_text(str(self.workers))

    def expose(self, pid: int) -> None:
        """Give a worker the score that we had."""
        if self.workers is None:
            return
        try:
            Path(f"/proc/{pid}/oom_score_adj").write_text(str(self.workers))
        except OSError:  # it has ended already
            return
