"""The worker processes: spawned, signalled, reaped. Host side.

Each is watched by a pidfd where there is one (Linux 5.3): it tells of an exit without a race and is signalled without
hitting a successor of the same pid. Elsewhere SIGCHLD and waitpid do; a pid is not used again before it is reaped, and
only this module reaps.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
from collections.abc import Callable, Iterator, Mapping
from typing import Final

from server_core.contract.messages import MESSAGE_LIMIT
from server_core.contract.spec import ListenerSpec, Template, WorkerSpec
from server_core.records import dataclass
from supervisor_d.errors import SpawnError
from supervisor_d.host.processes.foreign_children import ForeignChildren
from supervisor_d.host.processes.interpreter import worker_command
from supervisor_d.host.processes.spawn import start
from supervisor_d.host.processes.worker_pipe import Pipe, WorkerListener, hand_over, socket_pair, take_back
from supervisor_d.host.reactor import READ, Reactor
from supervisor_d.log import Log
from supervisor_d.settings.values.identity import Identity
from supervisor_d.vocabulary import Generation, Pid, Slot, WorkerExited, WorkerSpawned

Verbs = Mapping[str, Callable[[Mapping[str, object]], None]]

ROLES: Final = {Template.NONE: None, Template.SERVER: "template", Template.APPLICATION: "zygote"}
"""What the log calls a process by what it is spawned for; nothing if that is to serve."""


@dataclass(slots=True)
class Child:
    """One worker process that has not been reaped."""

    slot: Slot
    generation: Generation
    pid: Pid
    process: subprocess.Popen[bytes] | None
    """None of a worker that was forked by a template."""
    pipe: Pipe
    pidfd: int | None
    is_kill_ordered: bool = False
    is_leaving: bool = False
    """Whether it was sent a signal that ends it."""

    def kill(self) -> None:
        with contextlib.suppress(ProcessLookupError):  # a zombie already: reaping it is next
            os.kill(self.pid, signal.SIGKILL)


class ProcessTable:
    """Every worker process by slot.

    `before_exit_is_told` is called with a child that was reaped and its exit code (negative for a signal, as
    subprocess has it), and says whether the kernel killed it for memory. `after_start` is called with every new pid.
    `identity` is what workers are to be, None if that is what we are.
    """

    def __init__(
        self,
        reactor: Reactor,
        log: Log,
        environ: Mapping[str, str],
        before_exit_is_told: Callable[[Child, int], bool],
        command: Callable[[int], list[str]] = worker_command,
        after_start: Callable[[int], None] = lambda _: None,
        identity: Identity | None = None,
    ) -> None:
        self._reactor = reactor
        self._log = log
        self._environ = environ
        self._before_exit_is_told = before_exit_is_told
        self._command = command
        self._after_start = after_start
        self._identity = identity
        self.foreign = ForeignChildren()
        """Children that are neither reaped nor told."""
        self._by_slot: dict[Slot, Child] = {}
        self._reaped: dict[Slot, Child] = {}
        self._others: dict[Pid, Callable[[int], None]] = {}
        self._early: dict[int, int] = {}
        self.births = 0
        """Forks under way, whose pids are not known yet."""
        self.after_exit: Callable[[Child], None] = lambda _: None
        """Called with each child whose exit was told."""

    def __getitem__(self, slot: Slot) -> Child:
        return self._by_slot[slot]

    def last(self, slot: Slot) -> Child | None:
        """The slot's process, or the one that it held last: what that said last is heard when it is reaped."""
        return self._by_slot.get(slot) or self._reaped.get(slot)

    def get(self, slot: Slot) -> Child | None:
        return self._by_slot.get(slot)

    def __iter__(self) -> Iterator[Child]:
        return iter(tuple(self._by_slot.values()))

    @property
    def pids(self) -> set[Pid]:
        """Every process that is ours, or may be in a moment."""
        return {*(child.pid for child in self), *self._others, *map(Pid, self._early)}

    def spawn(self, spec: WorkerSpec, others: Verbs | None = None) -> None:
        """Start a worker, its spec already in its pipe; told as WorkerSpawned. Raises SpawnError or OSError.

        `others` are called for what it says besides the policy's facts.
        """
        slot = Slot(spec.slot)
        pipe, theirs = self.open_pipe(spec, others)
        try:
            command = self._command(theirs.fileno())
            environ = {**self._environ, **spec.environment, **spec.search.as_variable()}
            descriptors = (theirs.fileno(), *spec.descriptors)
            process = start(command, descriptors, environ, self._identity, spec.directory, spec.umask)
        except BaseException:  # cleans up and raises it again, whatever it is
            pipe.close()
            raise
        finally:
            theirs.close()
        pid = Pid(process.pid)
        child = Child(slot, Generation(spec.generation), pid, process, pipe, _open_pidfd(pid))
        self._raise(child, ROLES[spec.template])

    def open_pipe(self, spec: WorkerSpec, others: Verbs | None = None) -> tuple[Pipe, socket.socket]:
        """A new worker's pipe with its spec in it, and the end that it is to get. Raises SpawnError or OSError."""
        slot, message = Slot(spec.slot), spec.as_message()
        if slot in self._by_slot:
            raise SpawnError(f"slot {slot} still holds process {self._by_slot[slot].pid}")
        if len(message) > MESSAGE_LIMIT:
            raise SpawnError(f"the settings take {len(message)} bytes, more than the {MESSAGE_LIMIT} a worker reads")
        ours, theirs = socket_pair()
        pipe = Pipe(self._reactor, ours, WorkerListener(self._reactor, slot, others))
        pipe.send(message)
        return pipe, theirs

    def adopt(self, spec: WorkerSpec, pid: Pid, pipe: Pipe) -> None:
        """Take a process that a template forked, and that is our child by now; told as WorkerSpawned."""
        code = self._early.pop(pid, None)
        pidfd = _open_pidfd(pid) if code is None else None
        child = Child(Slot(spec.slot), Generation(spec.generation), pid, None, pipe, pidfd)
        self._raise(child)
        if code is not None:
            self._bury(child, code)

    def release(self, slot: Slot, exited: Callable[[int], None]) -> Child:
        """Let a process leave its slot, untold; `exited` is called with its exit code when it has ended."""
        child = self._by_slot.pop(slot)
        self._others[child.pid] = exited
        if child.pidfd is not None:
            self._reactor.watch(child.pidfd, READ, lambda _: self._reap_other(child))
        return child

    def know(self, pid: Pid, exited: Callable[[int], None]) -> None:
        """A process of ours that is no worker: it is no orphan, and `exited` is called with its exit code."""
        self._others[pid] = exited

    def _raise(self, child: Child, role: str | None = None) -> None:
        """Watch over a process that has just come to be."""
        self._after_start(child.pid)
        self._by_slot[child.slot] = child
        child.pipe.listen()
        if child.pidfd is not None:
            self._reactor.watch(child.pidfd, READ, lambda _: self._reap(child))
        self._reactor.tell(WorkerSpawned(child.slot, child.pid, role))

    def signal(self, slot: Slot, number: int) -> None:
        """Send a signal to the slot's process; nothing if it has none any more, its exit is being told then."""
        child = self._by_slot.get(slot)
        if child is None:
            return
        if number == signal.SIGKILL:
            child.is_kill_ordered = True
        if number in (signal.SIGKILL, signal.SIGTERM):
            child.is_leaving = True
        try:
            if child.pidfd is not None:
                signal.pidfd_send_signal(child.pidfd, number)
            else:
                os.kill(child.pid, number)
        except ProcessLookupError:  # a zombie already: reaping it is next
            return

    def mark_leaving(self, slot: Slot) -> None:
        """The slot's process was told over its pipe to give up, which ends it as a signal does."""
        child = self._by_slot.get(slot)
        if child is not None:
            child.is_leaving = True

    def take_on(self, listener: ListenerSpec) -> None:
        """Have every worker that there is accept from a listener that was bound anew. Raises OSError."""
        for child in self:
            hand_over(listener, child.pipe)

    def give_up(self, listener: ListenerSpec) -> None:
        """Have every worker that there is close a listener that was shut down."""
        for child in self:
            take_back(listener, child.pipe)

    def reap_all(self) -> None:
        """Reap every process that has ended, ours or not: as PID 1 strangers are left to us, and orphans are."""
        for pid, status in self.foreign.ended(self.pids):
            code = os.waitstatus_to_exitcode(status)
            child = next((child for child in self if child.pid == pid), None)
            if child is not None:
                self._bury(child, code)
            elif Pid(pid) in self._others:
                self._others.pop(Pid(pid))(code)
            elif self.births:
                self._early[pid] = code
            else:
                self._tell_stranger(pid, code)

    def end_birth(self) -> None:
        """A fork is no longer under way; a process that ended meanwhile and is no worker was a foreign child."""
        self.births -= 1
        while not self.births and self._early:
            self._tell_stranger(*self._early.popitem())

    def _tell_stranger(self, pid: int, code: int) -> None:
        exit_code, name = outcome(code)
        self._log("process.reaped", pid=pid, exit_code=exit_code, signal=name)

    def abandon(self) -> None:
        """Hang up on every worker; each drains by itself then (contract/messages.py, "EOF").

        For a master that goes down.
        """
        for child in self:
            _mark_reaped(child, 0)  # not ours to wait for any more
            self._forget(child)

    def _reap(self, child: Child) -> None:
        pid, status = os.waitpid(child.pid, os.WNOHANG)
        if pid:
            self._bury(child, os.waitstatus_to_exitcode(status))

    def _bury(self, child: Child, code: int) -> None:
        """The process is reaped: its last messages first, then the fact that it exited."""
        _mark_reaped(child, code)
        child.pipe.finish()
        self._forget(child)
        oom_killed = self._before_exit_is_told(child, code)
        exit_code, name = outcome(code)
        self._reactor.tell(WorkerExited(child.slot, child.pid, exit_code, name, oom_killed))
        self.after_exit(child)

    def _reap_other(self, child: Child) -> None:
        pid, status = os.waitpid(child.pid, os.WNOHANG)
        if pid and child.pid in self._others:
            _mark_reaped(child, os.waitstatus_to_exitcode(status))
            self._others.pop(child.pid)(os.waitstatus_to_exitcode(status))

    def _forget(self, child: Child) -> None:
        self._reaped[child.slot] = self._by_slot.pop(child.slot)
        self.close(child)

    def close(self, child: Child) -> None:
        """Hang up on a process, and watch it no more."""
        child.pipe.close()
        if child.pidfd is not None:
            self._reactor.forget(child.pidfd)
            os.close(child.pidfd)
            child.pidfd = None


def _mark_reaped(child: Child, code: int) -> None:
    """Keep subprocess from warning about a process that it did not wait for itself."""
    if child.process is not None:
        child.process.returncode = code


def _open_pidfd(pid: int) -> int | None:
    try:
        return os.pidfd_open(pid)
    except (AttributeError, OSError):  # not Linux, before 5.3, forbidden, or out of descriptors: SIGCHLD serves
        return None


def outcome(code: int) -> tuple[int | None, str | None]:
    """(exit code, signal name): exactly one is set."""
    return (code, None) if code >= 0 else (None, signal_name(-code))


def signal_name(number: int) -> str:
    """SIGTERM for 15; a real-time signal by its distance from SIGRTMIN."""
    try:
        return signal.Signals(number).name
    except ValueError:
        first = getattr(signal, "SIGRTMIN", number)  # macOS has none
        return f"SIGRTMIN+{number - first}" if number > first else f"signal {number}"
