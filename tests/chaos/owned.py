"""Which client connections a process holds at this instant, by the client's port (Linux, proc(5))."""

from __future__ import annotations

import os
import signal
from pathlib import Path

ESTABLISHED_TO_CLOSING = {"01", "04", "05", "08", "09", "0B"}
"""States of proc_net_tcp in which a socket can still belong to a process (include/net/tcp_states.h)."""


def owned_ports(pid: int, server_port: int) -> set[int]:
    """Client ports of the connections that this process has accepted; none if it is gone."""
    inodes = set()
    try:
        names = os.listdir(f"/proc/{pid}/fd")
    except (FileNotFoundError, PermissionError):  # gone, or a zombie
        return set()
    for name in names:
        try:
            target = os.readlink(f"/proc/{pid}/fd/{name}")
        except FileNotFoundError:  # closed between the listing and the reading
            continue
        if target.startswith("socket:["):
            inodes.add(target[8:-1])
    ports = set()
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        columns = line.split()
        local, remote, state, inode = columns[1], columns[2], columns[3], columns[9]
        if state in ESTABLISHED_TO_CLOSING and inode in inodes and int(local.rpartition(":")[2], 16) == server_port:
            ports.add(int(remote.rpartition(":")[2], 16))
    return ports


def stopped(pid: int) -> bool:
    """True once SIGSTOP has taken effect: from then on the process accepts nothing more."""
    text = Path(f"/proc/{pid}/stat").read_text()
    return text.rpartition(")")[2].split()[0] in ("T", "t")


def stop_and_list(pid: int, server_port: int) -> set[int]:
    """Stops a process and tells its connections: an exact list, because a stopped process can accept no more."""
    os.kill(pid, signal.SIGSTOP)
    while not stopped(pid):  # the kernel does it at once; signal(7) promises no instant
        os.sched_yield()
    return owned_ports(pid, server_port)
