"""What is said of processes that workers leave behind: values, facts and orders."""

from __future__ import annotations

from server_core.records import dataclass
from supervisor_d.vocabulary.values import Pid, Slot


@dataclass(frozen=True, slots=True)
class Orphan:
    """A process that a worker left behind, by its name in the kernel (proc_pid_comm(5))."""

    pid: Pid
    name: str
    has_own_session: bool
    is_another_users: bool = False
    """The master may not signal it (kill(2)): a program that changed its user, such as sudo."""


@dataclass(frozen=True, slots=True)
class WorkerEnd:
    """How one worker ended: its exit code, negative for a signal."""

    slot: Slot
    pid: Pid
    code: int


@dataclass(frozen=True, slots=True)
class OrphansFound:
    """Processes that a worker which has ended left behind; which of `left_by`, if several ended, is not known."""

    orphans: tuple[Orphan, ...]
    left_by: tuple[WorkerEnd, ...]


@dataclass(frozen=True, slots=True)
class OrphanExited:
    """A process that OrphansFound told of has ended."""

    pid: Pid


@dataclass(frozen=True, slots=True)
class TerminateOrphans:
    """SIGTERM to processes that OrphansFound told of."""

    pids: tuple[Pid, ...]


@dataclass(frozen=True, slots=True)
class KillOrphans:
    """SIGKILL to them."""

    pids: tuple[Pid, ...]
