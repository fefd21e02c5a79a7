"""What becomes of processes that workers leave behind.

A worker that ends in order has ended its children itself, as far as they were to end: multiprocessing does so at the
interpreter's exit. One that crashes or is killed could not. So what it leaves is ended: SIGTERM, and SIGKILL after a
short while. Who has a session of its own (setsid(2)) was meant to survive its worker, and is let alone, as every child
of a worker that ended in order is.
"""

from __future__ import annotations

from typing import Final

from supervisor_d.policy.state import PolicyState
from supervisor_d.vocabulary import (
    Instant,
    KillOrphans,
    Orphan,
    OrphansFound,
    Pid,
    TerminateOrphans,
    WorkerEnd,
)

ORPHAN_GRACE_S: Final = 1.0
"""From SIGTERM to SIGKILL. Chosen: a stop that had to kill a worker takes no longer for it than was promised."""


class Orphanage:
    """The processes that were ordered to end and have not."""

    def __init__(self) -> None:
        self._ending: dict[Pid, tuple[Instant, Orphan]] = {}

    def __bool__(self) -> bool:
        return bool(self._ending)

    @property
    def next_deadline(self) -> Instant | None:
        return min((at for at, _ in self._ending.values()), default=None)

    def found(self, policy: PolicyState, fact: OrphansFound) -> None:
        """End those that a failed worker left, and say what is done with each."""
        failed = next((end for end in fact.left_by if end.code), None)
        ending = []
        for orphan in fact.orphans:
            if orphan.is_another_users:
                self._report(policy, "process.spared", orphan, failed or fact.left_by[0], "it is another user's")
            elif orphan.has_own_session:
                self._report(policy, "process.spared", orphan, failed or fact.left_by[0], "it has a session of its own")
            elif failed is None:
                self._report(policy, "process.spared", orphan, fact.left_by[0], "its worker ended in order")
            else:
                self._report(policy, "process.terminated", orphan, failed, "its worker did not end in order")
                ending.append(orphan)
        if ending:
            kill_at = Instant(policy.now + ORPHAN_GRACE_S)
            self._ending |= {orphan.pid: (kill_at, orphan) for orphan in ending}
            policy.outbox.add(TerminateOrphans(tuple(orphan.pid for orphan in ending)))

    def exited(self, pid: Pid) -> None:
        self._ending.pop(pid, None)

    def fire(self, policy: PolicyState) -> None:
        """Kill those whose time is up. SIGKILL needs no second look."""
        due = [orphan for at, orphan in self._ending.values() if at <= policy.now]
        for orphan in due:
            del self._ending[orphan.pid]
            policy.outbox.report("process.killed", pid=orphan.pid, name=orphan.name)
        if due:
            policy.outbox.add(KillOrphans(tuple(orphan.pid for orphan in due)))

    @staticmethod
    def _report(policy: PolicyState, event: str, orphan: Orphan, end: WorkerEnd, reason: str) -> None:
        told = {"pid": orphan.pid, "name": orphan.name, "slot": end.slot, "worker_pid": end.pid}
        policy.outbox.report(event, **told, reason=reason)
