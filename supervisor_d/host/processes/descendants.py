"""Who descends from a process, as /proc tells it: pid, parent, session, name. Linux; elsewhere none. Host side."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from server_core.records import dataclass
from supervisor_d.vocabulary import Pid

PROC: Final = Path("/proc")


@dataclass(frozen=True, slots=True)
class Process:
    """One process that has not ended."""

    pid: Pid
    name: str
    session: int
    started: int
    """When it began, in the kernel's ticks: with the pid it names one process for ever."""


def is_there(process: Process) -> bool:
    """Whether it has not ended; another process may have its pid by now."""
    found = _read(process.pid)
    return found is not None and found[0].started == process.started


def children_of(pid: int) -> Iterator[Process]:
    """Its children that have not ended; none if it is gone."""
    for number in _numbers(pid):
        found = _read(number)
        if found is not None and found[1] == pid:
            yield found[0]


def descendants_of(pid: int) -> Iterator[Process]:
    """Its children, and theirs."""
    for child in children_of(pid):
        yield child
        yield from descendants_of(child.pid)


def variable_of(pid: int, name: str) -> str | None:
    """What a variable was when the process executed its program (proc_pid_environ(5)); None if that is not known."""
    try:
        environ = (PROC / str(pid) / "environ").read_bytes().split(b"\0")
    except OSError:  # another user's, or it has ended
        return None
    start = os.fsencode(f"{name}=")
    return next((os.fsdecode(each.removeprefix(start)) for each in environ if each.startswith(start)), None)


def children_by_thread(pid: int) -> dict[int, list[int]]:
    """The children, zombies, too, by the thread that forked them (proc_tid_children(5)).

    Orphans are the first thread's, and so are the children of a thread that has ended. Empty if the process is gone, or
    where the kernel keeps no such list (CONFIG_PROC_CHILDREN).
    """
    found: dict[int, list[int]] = {}
    with contextlib.suppress(OSError):
        for task in os.listdir(PROC / str(pid) / "task"):
            with contextlib.suppress(OSError):  # the thread has ended
                found[int(task)] = [*map(int, (PROC / str(pid) / "task" / task / "children").read_text().split())]
    return found


def _numbers(pid: int) -> list[int]:
    """The children of all its threads; where the kernel keeps no list every process there is."""
    found = children_by_thread(pid)
    if not found and not (PROC / "self" / "task" / str(os.getpid()) / "children").exists():
        return [int(name) for name in _listed() if name.isdigit()]
    return [number for numbers in found.values() for number in numbers]


def _listed() -> list[str]:
    try:
        return os.listdir(PROC)
    except OSError:  # not Linux
        return []


def _read(pid: int) -> tuple[Process, int] | None:
    """A process and its parent; None if it has ended.

    proc_pid_stat(5): the name stands in parentheses and may hold some itself; the state follows (field 3), the parent
    (4), the session (6), and when it began (22).
    """
    try:
        text = (PROC / str(pid) / "stat").read_text(encoding="utf-8", errors="backslashreplace")
    except OSError:
        return None
    head, _, tail = text.rpartition(")")
    state, parent, _, session, *others = tail.split()
    process = Process(Pid(pid), head.partition("(")[2], int(session), int(others[15]))
    return (process, int(parent)) if state not in "ZX" else None
