"""What workers leave behind: processes that they started, and that the kernel gives to the master. Host side.

The master takes over every orphan among its descendants (subreaper.py). The kernel does so while a worker exits, before
the worker can be reaped. So at each worker's end the master looks for children that it does not know, and tells of them
and of their descendants. If several workers have ended by then, all are reported: the kernel does not say which of them
started a process. One that is to end is held by a pidfd, so that no signal can hit another one of the same pid. The
others are known by their pid and when they began: an application may leave a thousand daemons, and a descriptor for
each would be none for a worker.

Two kinds of unknown children are not told. A script that executes the daemon may have started processes before
(`exporter & exec supervisor-d ...`): what is there at the start is no worker's. And a worker that serves may have a
program whose parent has ended (`tool &` in a shell): its environment names the slot of that worker (contract/spec.py).

While a template forks, the new worker is a child that the master does not know yet, so the look waits until it does.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Set
from typing import Final

from server_core.contract.spec import SLOT_VARIABLE
from supervisor_d import clock
from supervisor_d.host.processes.descendants import Process, children_of, descendants_of, is_there, variable_of
from supervisor_d.host.processes.process_table import ProcessTable
from supervisor_d.host.processes.subreaper import become_subreaper, cease_to_be_subreaper, is_subreaper
from supervisor_d.host.reactor import READ, Reactor
from supervisor_d.vocabulary import Instant, Orphan, OrphanExited, OrphansFound, Pid, Slot, WorkerEnd

LOOK_AGAIN_S: Final = 0.1
"""While a birth is under way. Chosen: it takes some milliseconds."""


class Orphans:
    """Tells OrphansFound and OrphanExited, and ends processes on the policy's order."""

    def __init__(self, reactor: Reactor, children: ProcessTable) -> None:
        self._reactor = reactor
        self._children = children
        self._known: dict[Pid, Process] = {}
        """Those that were told, or were there before the first worker."""
        self._held: dict[Pid, int] = {}
        """The pidfds of those that are to end."""
        self._ends: list[WorkerEnd] = []
        self._was_subreaper = True

    def open(self, *, spare_foreign: bool = False) -> None:
        """Take over what workers will leave; what descends from the master now is no worker's.

        `spare_foreign`: a script called run(), and its own children are let alone (foreign_children.py).
        """
        if spare_foreign:
            self._children.foreign.spare()
        self._was_subreaper = is_subreaper()
        become_subreaper()  # where it cannot be, orphans go to another process, and templates are refused
        self._known = {process.pid: process for process in self._strangers(frozenset())}

    def worker_ended(self, slot: Slot, pid: Pid, code: int) -> None:
        """Look for what this worker left; `code` is negative for a signal. Before its exit is reported."""
        self._ends.append(WorkerEnd(slot, pid, code))
        self._look()

    def signal(self, pids: tuple[Pid, ...], number: int) -> None:
        """Send a signal to those of them that have not ended, and may be signalled."""
        for pid in pids:
            if pid in self._held or self._hold(pid):
                _send(self._held[pid], number)

    def close(self) -> None:
        """Have orphans go where they went before."""
        if not self._was_subreaper:
            cease_to_be_subreaper()
        for pid in tuple(self._held):
            self._let_go(pid)

    def _look(self) -> None:
        if not self._ends:
            return
        if self._children.births:
            self._reactor.at(Instant(clock.now() + LOOK_AGAIN_S), self._look)
            return
        ends, self._ends = (*self._ends, *self._also_ended()), []
        serving = {child.slot for child in self._children} - {end.slot for end in ends}
        session = os.getsid(0)
        self._known = {pid: process for pid, process in self._known.items() if is_there(process)}
        told = []
        for process in self._strangers(serving):
            descriptor = _pinned(process)
            if descriptor is not None:
                is_another_users = not _send(descriptor, 0)
                os.close(descriptor)
                self._known[process.pid] = process
                told.append(Orphan(process.pid, process.name, process.session != session, is_another_users))
        if told:
            self._reactor.tell(OrphansFound(tuple(told), ends))

    def _strangers(self, serving: Set[Slot]) -> list[Process]:
        """Unknown children of the master, and what descends from them, without the programs of these workers."""
        named = {str(slot) for slot in serving}
        children = list(children_of(os.getpid()))  # first: what a thread starts after this is not among them
        known = self._children.pids | self._known.keys() | self._children.foreign.pids()
        found = []
        for process in children:
            if process.pid not in known and variable_of(process.pid, SLOT_VARIABLE) not in named:
                found += [process, *(each for each in descendants_of(process.pid) if each.pid not in known)]
        return found

    def _also_ended(self) -> list[WorkerEnd]:
        """Workers that have ended, too, and are to be reaped next."""
        known = {end.pid for end in self._ends}
        ended = []
        for child in self._children:
            if child.pid in known:
                continue
            try:
                told = os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
            except ChildProcessError:
                continue
            if told is not None:
                code = told.si_status if told.si_code == os.CLD_EXITED else -told.si_status
                ended.append(WorkerEnd(child.slot, child.pid, code))
        return ended

    def _hold(self, pid: Pid) -> bool:
        """Tell OrphanExited when it ends; at once, and False, if it has ended."""
        process = self._known.get(pid)
        descriptor = _pinned(process) if process is not None else None
        if descriptor is None:
            self._reactor.tell(OrphanExited(pid))
            return False
        self._held[pid] = descriptor
        self._reactor.watch(descriptor, READ, lambda _: self._exited(pid))
        return True

    def _exited(self, pid: Pid) -> None:
        self._let_go(pid)
        self._reactor.tell(OrphanExited(pid))

    def _let_go(self, pid: Pid) -> None:
        descriptor = self._held.pop(pid)
        self._reactor.forget(descriptor)
        os.close(descriptor)


def _pinned(process: Process) -> int | None:
    """A pidfd of it; None if it has ended, or the kernel is older than pidfds (Linux 5.3)."""
    try:
        descriptor = os.pidfd_open(process.pid)
    except (AttributeError, OSError):
        return None
    if is_there(process):
        return descriptor
    os.close(descriptor)
    return None


def _send(descriptor: int, number: int) -> bool:
    """Send a signal, or 0 to ask only (kill(2)); False if the process has become another user's."""
    try:
        signal.pidfd_send_signal(descriptor, number)
    except ProcessLookupError:  # a zombie: its end is reported next
        return True
    except PermissionError:
        return False
    return True
