"""Whether an address is held by workers whose master is gone, and will be free when they have ended. Host side.

Such a worker closes its listeners as soon as its event loop turns. One whose loop is blocked, or that is in an
uninterruptible sleep, holds them until its second thread ends it, graceful-timeout later (server_core/heartbeat.py), or
until the kernel can end it. A new master waits for that long. Rejected: to shut their listeners down from here
(pidfd_getfd(2)), which takes the right to trace them (ptrace(2)), and a service seldom has that.
"""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from supervisor_d.control.place import UNIX_TABLE
from supervisor_d.host.socket_holder import PROCESSES, inodes_of, targets_of
from supervisor_d.settings.address import TcpAddress, UnixAddress

WORKER: Final = b"server_core.worker"
"""In the command line of each worker and template (host/interpreter.py)."""
MASTERS: Final = (b"supervisor_d", b"supervisor-d")
LISTENS: Final = "0A"
"""TCP_LISTEN in the column st of /proc/net/tcp (proc_net_tcp(5))."""
STOPS: Final = frozenset((signal.SIGTERM, signal.SIGINT, signal.SIGQUIT))


def workers_left_at(address: TcpAddress | UnixAddress, processes: Path = PROCESSES) -> tuple[int, ...]:
    """The pids of those that hold the address, if all are workers without a master; nothing otherwise.

    A master that lives holds its listeners itself, or, where its descriptors are hidden from us, is a worker's parent.
    """
    targets = {f"socket:[{inode}]" for inode in _inodes(address)}
    holders = [
        process for process in processes.glob("[0-9]*") if targets and not targets.isdisjoint(targets_of(process))
    ]
    if all(WORKER in _command(process) and not _has_master(process, processes) for process in holders):
        return tuple(sorted(int(process.name) for process in holders))
    return ()


def stop_asked_for() -> bool:
    """Whether a signal that ends the daemon waits to be read; before the loop runs nobody else would notice."""
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
    command = _command(processes / parent)
    return any(name in command for name in MASTERS) and WORKER not in command
