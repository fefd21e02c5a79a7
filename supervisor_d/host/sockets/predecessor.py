"""Whether an address is held by workers whose master is gone, and how a new master comes by it. Host side.

Such a worker closes its listeners as soon as its event loop turns. One that hangs holds them, and has its listener shut
down, or is waited for and killed at last (left_listeners.py).
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

from supervisor_d import clock
from supervisor_d.control.socket_path import UNIX_TABLE
from supervisor_d.host.sockets import left_listeners
from supervisor_d.host.unix_sockets.socket_holder import PROCESSES, inodes_of, targets_of
from supervisor_d.settings.values.address import TcpAddress, UnixAddress
from supervisor_d.vocabulary import Instant

WORKER: Final = b"server_core.worker"
"""In the command line of each worker and template (host/processes/interpreter.py)."""
INTERPRETERS: Final = (b"python", b"pypy")
MASTERS: Final = frozenset((b"supervisor_d", b"supervisor-d"))
LISTENS: Final = "0A"
"""TCP_LISTEN in the column st of /proc/net/tcp (proc_net_tcp(5))."""
STOPS: Final = frozenset((signal.SIGTERM, signal.SIGINT, signal.SIGQUIT))

KILLED_FOR_S: Final = 2.0
"""How long those that were killed are waited for; chosen: all but an uninterruptible sleep ends in milliseconds."""


class Predecessor:
    """Those who hold one address, as long as they are workers without a master.

    They have `patience_s` to end; 0: nothing is done about them. `tell` is called with an event and its facts:
    "socket.awaited" once, "socket.freed" for what was done.
    """

    def __init__(
        self, address: TcpAddress | UnixAddress, patience_s: float, tell: Callable[..., None] = lambda *_, **__: None
    ) -> None:
        self.is_awaited = False
        self._address = address
        self._patience_s = patience_s
        self._tell = tell
        self._ends_at = Instant(clock.now() + patience_s)
        self._killed = False

    def makes_room(self) -> bool:
        """Have it let go, or wait for it: whether the address is worth another try."""
        pids = workers_left_at(self._address) if self._patience_s else ()
        if not pids or (self._killed and clock.now() >= self._ends_at):
            return False
        if not self.is_awaited and self._shuts_down(pids):
            self._say("socket.freed", pids, "shut down")
        elif clock.now() < self._ends_at:
            if not self.is_awaited:
                self._say("socket.awaited", pids)
            self.is_awaited = True
        else:
            self._killed = True
            self._ends_at = Instant(clock.now() + KILLED_FOR_S)
            if not (killed := left_listeners.kill(pids, targets_at(self._address))):
                return False
            self._say("socket.freed", killed, "killed")
        return True

    def _shuts_down(self, pids: tuple[int, ...]) -> bool:
        """Not for an abstract name, which is free only when no process has the socket any more."""
        if isinstance(self._address, UnixAddress) and self._address.is_abstract:
            return False
        return left_listeners.shut_down(pids, targets_at(self._address))

    def _say(self, event: str, pids: tuple[int, ...], how: str = "") -> None:
        more = {"how": how} if how else {"timeout_s": self._patience_s}
        self._tell(event, address=str(self._address), pids=list(pids), **more)


def targets_at(address: TcpAddress | UnixAddress) -> frozenset[str]:
    """What the descriptors of who holds the address are of."""
    return frozenset(f"socket:[{inode}]" for inode in _inodes(address))


def workers_left_at(address: TcpAddress | UnixAddress, processes: Path = PROCESSES) -> tuple[int, ...]:
    """The pids of those that hold the address, if all are workers without a master; nothing otherwise.

    A master that lives holds its listeners itself, or, where its descriptors are hidden from us, is a worker's parent.
    """
    targets = targets_at(address)
    holders = [
        process for process in processes.glob("[0-9]*") if targets and not targets.isdisjoint(targets_of(process))
    ]
    if all(WORKER in _command(process) and not _has_master(process, processes) for process in holders):
        return tuple(sorted(int(process.name) for process in holders))
    return ()


def stop_asked_for() -> bool:
    """Whether a signal that ends the daemon waits to be read; before the loop runs nothing else would notice."""
    return not STOPS.isdisjoint(signal.sigpending())


def _inodes(address: TcpAddress | UnixAddress) -> Iterator[str]:
    if isinstance(address, UnixAddress):
        yield from inodes_of(address.path, UNIX_TABLE)
        return
    for table in (Path("/proc/net/tcp"), Path("/proc/net/tcp6")):
        try:
            lines = table.read_text("ascii").splitlines()[1:]
        except OSError:  # not Linux, or without IPv6
            continue
        for line in lines:
            fields = line.split()
            if fields[3] == LISTENS and int(fields[1].rpartition(":")[2], 16) == address.port:
                yield fields[9]


def _command(process: Path) -> bytes:
    try:
        return (process / "cmdline").read_bytes()
    except OSError:  # it has ended
        return b""


def _has_master(process: Path, processes: Path) -> bool:
    try:
        parent = (process / "stat").read_text("utf-8", "replace").rpartition(")")[2].split()[1]
    except (OSError, IndexError):  # it has ended
        return False
    return _is_master(_command(processes / parent))


def _is_master(command: bytes) -> bool:
    """Whether an interpreter runs the daemon by this command line. A shell, an init or supervisord that starts it names
    it, too, and orphans are the children of such a PID 1."""
    program, *words = (os.path.basename(word) for word in command.split(b"\0"))
    names = {word.partition(b".")[0] for word in words}  # supervisor-d.pex
    return program.startswith(INTERPRETERS) and not MASTERS.isdisjoint(names) and WORKER not in command
