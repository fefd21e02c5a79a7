"""The worker processes: spawned, signalled, reaped. Host side.

Each is watched by a pidfd where there is one (Linux 5.3): it tells of an exit without a race and is signalled without
hitting a successor of the same pid. Elsewhere SIGCHLD and waitpid do; a pid is not used again before it is reaped, and
only this module reaps.
"""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from server_core.contract import MESSAGE_LIMIT, WorkerSpec
from supervisor_d.errors import SpawnError
from supervisor_d.host.heartbeat import Pipe, socket_pair
from supervisor_d.host.interpreter import worker_command
from supervisor_d.host.watcher import READ, Watcher
from supervisor_d.log import Log
from supervisor_d.vocabulary import Generation, Pid, Slot, WorkerExited, WorkerSpawned


@dataclass(slots=True)
class Child:
    """One worker process that has not been reaped."""

    slot: Slot
    generation: Generation
    pid: Pid
    process: subprocess.Popen[bytes]
    pipe: Pipe
    pidfd: int | None
    is_kill_ordered: bool = False


class Children:
    """Every worker process by slot.

    `before_exit_is_told` is called with a child that was reaped and its exit code (negative for a signal, as
    subprocess has it), and says whether the kernel killed it for memory. `after_start` is called with every new pid.
    """

    def __init__(
        self,
        watcher: Watcher,
        log: Log,
        environ: Mapping[str, str],
        before_exit_is_told: Callable[[Child, int], bool],
        command: Callable[[int], list[str]] = worker_command,
        after_start: Callable[[int], None] = lambda _: None,
    ) -> None:
        self._watcher = watcher
        self._log = log
        self._environ = environ
        self._before_exit_is_told = before_exit_is_told
        self._command = command
        self._after_start = after_start
        self._by_slot: dict[Slot, Child] = {}

    def __getitem__(self, slot: Slot) -> Child:
        return self._by_slot[slot]

    def get(self, slot: Slot) -> Child | None:
        return self._by_slot.get(slot)

    def __iter__(self) -> Iterator[Child]:
        return iter(tuple(self._by_slot.values()))

    def spawn(self, spec: WorkerSpec) -> None:
        """Start a worker, its spec already in its pipe; told as WorkerSpawned. Raises SpawnError or OSError."""
        slot, message = Slot(spec.slot), spec.as_message()
        if slot in self._by_slot:
            raise SpawnError(f"slot {slot} still holds process {self._by_slot[slot].pid}")
        if len(message) > MESSAGE_LIMIT:
            raise SpawnError(f"the settings take {len(message)} bytes, more than the {MESSAGE_LIMIT} a worker reads")
        descriptors = (*(listener.fd for listener in spec.listeners), spec.scoreboard_fd, spec.stacks_fd)
        ours, theirs = socket_pair()
        pipe = Pipe(self._watcher, slot, ours)
        try:
            pipe.send(message)
            process = self._start(self._command(theirs.fileno()), (theirs.fileno(), *descriptors))
        except BaseException:  # cleans up and raises it again, whatever it is
            pipe.close()
            raise
        finally:
            theirs.close()
        self._after_start(process.pid)
        child = Child(slot, Generation(spec.generation), Pid(process.pid), process, pipe, _open_pidfd(process.pid))
        self._by_slot[slot] = child
        pipe.listen()
        if child.pidfd is not None:
            self._watcher.watch(child.pidfd, READ, lambda _: self._reap(child))
        self._watcher.tell(WorkerSpawned(slot, child.pid))

    def signal(self, slot: Slot, number: int) -> None:
        """Send a signal to the slot's process; nothing if it has none any more, its exit is being told then."""
        child = self._by_slot.get(slot)
        if child is None:
            return
        if number == signal.SIGKILL:
            child.is_kill_ordered = True
        try:
            if child.pidfd is not None:
                signal.pidfd_send_signal(child.pidfd, number)
            else:
                os.kill(child.pid, number)
        except ProcessLookupError:  # a zombie already: reaping it is next
            return

    def reap_all(self) -> None:
        """Reap every process that has ended, ours or not: as PID 1 strangers are left to us, and orphans are."""
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            child = next((child for child in self if child.pid == pid), None)
            if child is not None:
                self._bury(child, os.waitstatus_to_exitcode(status))
            else:
                exit_code, name = _outcome(os.waitstatus_to_exitcode(status))
                self._log("process.reaped", pid=pid, exit_code=exit_code, signal=name)

    def abandon(self) -> None:
        """Hang up on every worker; each drains by itself then (contract.py, "EOF"). For a master that goes down."""
        for child in self:
            child.process.returncode = 0  # not ours to wait for any more; keeps subprocess from warning about it
            self._forget(child)

    def _start(self, command: list[str], descriptors: Sequence[int]) -> subprocess.Popen[bytes]:
        """A process in which every signal is blocked, so that it cannot be killed or ill-treated while it starts."""
        before = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
        try:
            return subprocess.Popen(command, stdin=subprocess.DEVNULL, pass_fds=descriptors, env=self._environ)
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)

    def _reap(self, child: Child) -> None:
        pid, status = os.waitpid(child.pid, os.WNOHANG)
        if pid:
            self._bury(child, os.waitstatus_to_exitcode(status))

    def _bury(self, child: Child, code: int) -> None:
        """The process is reaped: its last messages first, then the fact that it exited."""
        child.process.returncode = code
        child.pipe.finish()
        self._forget(child)
        oom_killed = self._before_exit_is_told(child, code)
        exit_code, name = _outcome(code)
        self._watcher.tell(WorkerExited(child.slot, child.pid, exit_code, name, oom_killed))

    def _forget(self, child: Child) -> None:
        del self._by_slot[child.slot]
        child.pipe.close()
        if child.pidfd is not None:
            self._watcher.forget(child.pidfd)
            os.close(child.pidfd)


def _open_pidfd(pid: int) -> int | None:
    try:
        return os.pidfd_open(pid)
    except (AttributeError, OSError):  # not Linux, before 5.3, forbidden, or out of descriptors: SIGCHLD serves
        return None


def _outcome(code: int) -> tuple[int | None, str | None]:
    """(exit code, signal name): exactly one is set."""
    return (code, None) if code >= 0 else (None, signal_name(-code))


def signal_name(number: int) -> str:
    """SIGTERM for 15; a real-time signal by its distance from SIGRTMIN."""
    try:
        return signal.Signals(number).name
    except ValueError:
        first = getattr(signal, "SIGRTMIN", number)  # macOS has none
        return f"SIGRTMIN+{number - first}" if number > first else f"signal {number}"
