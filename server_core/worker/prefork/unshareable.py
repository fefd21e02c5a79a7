"""What an import may leave open that must not be in two processes, besides threads and sockets: each by name.

Databases of SQLite, whose locks and caches are a process's own (sqlite.org, "How To Corrupt An SQLite Database File",
2.6); locks on files, which several workers would hold at once (flock(2)) or believe that they do (fcntl_locking(2));
and child processes, which a worker has an object for, and cannot wait for.
"""

from __future__ import annotations

import contextlib
import os
import stat
from pathlib import Path
from typing import Final

SELF: Final = Path("/proc/self")
SQLITE: Final = b"SQLite format 3\0"
"""How a database begins (sqlite.org, "Database File Format", 1.3)."""
ENDED: Final = "ended, and not waited for"


def files(own: frozenset[int]) -> list[str]:
    """Open databases and locks, but for descriptors that are ours."""
    found = []
    for fd in sorted(int(name) for name in os.listdir(SELF / "fd")):
        if fd in own:
            continue
        try:
            is_file, target = stat.S_ISREG(os.fstat(fd).st_mode), os.readlink(SELF / "fd" / str(fd))
            locks = [line for line in (SELF / "fdinfo" / str(fd)).read_text().splitlines() if line.startswith("lock:")]
        except OSError:  # the listing's own descriptor
            continue
        if is_file and _is_database(fd, target):
            found.append(f"an SQLite connection to {target} (descriptor {fd})")
        elif locks:
            found.append(f"a lock on {target} ({locks[0].split()[2].lower()}, descriptor {fd})")
    return found


def _is_database(fd: int, target: str) -> bool:
    """Its first bytes say so; of one that is empty as yet, its name."""
    try:
        head = os.pread(fd, len(SQLITE), 0)
    except OSError:  # it is open for writing only, which SQLite does not do
        return False
    return head == SQLITE or (not head and target.endswith((".db", ".sqlite", ".sqlite3", ".db3")))


def processes() -> list[str]:
    """Children of this process, by what they execute: of multiprocessing or subprocess, or of a manager."""
    pids = set()
    for task in (SELF / "task").iterdir():
        with contextlib.suppress(OSError):  # no such file without CONFIG_PROC_CHILDREN; the thread has ended meanwhile
            pids.update((task / "children").read_text().split())
    return [f"a child process, pid {pid} ({_command(pid)})" for pid in sorted(pids, key=int)]


def _command(pid: str) -> str:
    """The command line. A process has none for a moment of execve(2), in which the one that started it runs again
    already: its name then (proc_pid_comm(5))."""
    process = Path(f"/proc/{pid}")
    try:
        text = process.joinpath("cmdline").read_bytes().replace(b"\0", b" ").decode("utf-8", "replace").strip()
        status = process.joinpath("stat").read_text(errors="replace")
    except OSError:  # it has ended meanwhile
        return ENDED
    name, _, rest = status.partition("(")[2].rpartition(")")
    if rest.split()[0] in "ZX":
        return ENDED
    return (text[:60] + "...") if len(text) > 63 else text or name
