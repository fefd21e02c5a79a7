"""Which process holds the name of a Unix socket that does not answer. Host side.

connect(2) names the owner of a listener that accepts (SO_PEERCRED). One that was bound and does not listen, that is of
another type, or whose queue is full tells nothing. The kernel's table has its inode, and the descriptors of processes
that we may look into have it, too: all of them for root, else our own. So what another user cannot see is not theirs.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from supervisor_d.control.peer import Peer
from supervisor_d.control.socket_path import UNIX_TABLE

PROCESSES: Final = Path("/proc")


def holder_of_name(address: str, table: Path = UNIX_TABLE, processes: Path = PROCESSES) -> Peer:
    """Who holds the name, None for what cannot be seen."""
    targets = {f"socket:[{inode}]" for inode in inodes_of(address, table)}
    for process in sorted(processes.glob("[0-9]*")) if targets else ():
        if not targets.isdisjoint(targets_of(process)):
            try:
                return Peer(int(process.name), process.stat().st_uid)
            except OSError:  # it has ended since
                continue
    return Peer(None, None)


def inodes_of(address: str, table: Path) -> Iterator[str]:
    """The kernel's numbers of the sockets with this name; /proc/net/unix shows abstract names with an @ (proc(5))."""
    try:
        lines = table.read_text("utf-8", "replace").splitlines()[1:]
    except OSError:  # not Linux, or /proc is not mounted
        return
    for line in lines:
        fields = line.split(maxsplit=7)
        if len(fields) == 8 and fields[7] == address:
            yield fields[6]


def targets_of(process: Path) -> Iterator[str]:
    """What the descriptors of a process are of, as far as we may see it."""
    try:
        entries = list((process / "fd").iterdir())
    except OSError:  # EACCES, or it has ended
        return
    for entry in entries:
        try:
            yield os.readlink(entry)
        except OSError:  # closed meanwhile
            continue
