"""Whether this process can never do anything again, but for the thread that asks.

A thread that waits for a lock, a condition, an event or a queue without a time limit waits in futex(2), and only a
thread of the same process can wake it. So does an event loop whose thread has nothing to do: it waits in epoll_wait(2)
for its own wake-ups, which are socket pairs, eventfds and pipes both ends of which this process holds. If all threads
wait so, none ever will be woken. While one of them reads, sleeps, computes, waits for a child process, for a
connection, or for anything with a time limit, the answer is no. The kernel's word is read twice, and no thread may have
had a CPU in between, or one could have woken another behind our back. asyncio's own loop, from 3.13 on, waits for its
executor's threads for 300 s at its end: the answer is no, until they are over. What could still come is a signal whose
handler wakes a thread; this is asked in a process that heeds none any more.

A lock that processes share (multiprocessing's) is waited for in futex(2), too, and another process may release it:
glibc then leaves out FUTEX_PRIVATE_FLAG, and the answer is no. A child that the application forked has copies of the
wake-ups; nothing but the loop's own methods writes to them.

Source: proc(5), /proc/PID/task/TID/syscall and status, /proc/PID/fdinfo; futex(2), epoll_wait(2), unix(7).
"""

from __future__ import annotations

import contextlib
import os
import platform
import re
import socket
import struct
import threading
from pathlib import Path
from typing import Final, NamedTuple


class Calls(NamedTuple):
    """The numbers of the system calls that are told apart."""

    futex: int
    epoll: tuple[int, ...]


CALLS: Final = {"x86_64": Calls(202, (232, 281)), "aarch64": Calls(98, (22,))}
"""By machine; on any other the answer is always no. epoll_wait(2) and epoll_pwait(2)."""
PRIVATE: Final = 0x80
FOR_EVER: Final = 0xFFFFFFFF
"""-1 as an int, which is what is told of epoll_wait's time limit."""
PROC: Final = Path("/proc/self")
LOOK_S: Final = 0.05
"""Between two looks. What makes it a proof are the counts of context switches, not this time; chosen: a thread on its
way into a system call, or out of one, is most often past it then."""
_SWITCHES: Final = re.compile(rb"ctxt_switches:\s*(\d+)")
_TARGET: Final = re.compile(r"^tfd:\s*(\d+)", re.MULTILINE)
_CREDENTIALS: Final = struct.Struct("3i")


def is_final(meanwhile: threading.Event, *spared: int) -> bool:
    """Whether all threads wait for one another, but for the caller's and those with the native ids in `spared`.

    Not once `meanwhile` is set. Takes LOOK_S if they may.
    """
    ours = {str(thread) for thread in (threading.get_native_id(), *spared)}
    first = _waiting(ours)
    return first is not None and not meanwhile.wait(LOOK_S) and _waiting(ours) == first


def _waiting(ours: set[str]) -> dict[str, list[bytes]] | None:
    """How often each other thread has been on a CPU; None if one of them can go on by itself, or if nothing tells."""
    numbers = CALLS.get(platform.machine())
    counts: dict[str, list[bytes]] = {}
    try:
        for task in os.listdir(PROC / "task"):
            if task in ours:
                continue
            # Bytes: it begins with the thread's name, which the kernel cuts after 15 bytes, in a character or not.
            counts[task] = _SWITCHES.findall((PROC / "task" / task / "status").read_bytes())
            if not _waits_for_a_thread((PROC / "task" / task / "syscall").read_text().split(), numbers):
                return None
    except OSError:  # it has just ended; or, after a change of user, the files belong to root
        return None
    return counts


def _waits_for_a_thread(call: list[str], numbers: Calls | None) -> bool:
    """Whether this line tells of a call that only a thread of this process can end; `running` tells of none."""
    if numbers is None or len(call) < 5:
        return False
    number, (first, second, _, fourth) = int(call[0]), [int(argument, 16) for argument in call[1:5]]
    if number == numbers.futex:
        return bool(second & PRIVATE) and fourth == 0
    return number in numbers.epoll and fourth & FOR_EVER == FOR_EVER and _is_within(first)


def _is_within(epoll: int) -> bool:
    """Whether all that an epoll instance waits for is of this process's own making. Raises OSError."""
    targets = _TARGET.findall((PROC / "fdinfo" / str(epoll)).read_text())
    return all(_is_own(int(fd)) for fd in targets)


def _is_own(fd: int) -> bool:
    """Whether only this process can make it readable. Raises OSError."""
    kind = os.readlink(PROC / "fd" / str(fd))
    if kind.startswith("pipe:"):
        return _held_ends(kind) > 1  # of a pipe from a child process, its parent has closed the other end
    return kind.startswith("anon_inode:[eventfd") or (kind.startswith("socket:") and _is_pair(fd))


def _held_ends(pipe: str) -> int:
    """How many descriptors of this process lead to this pipe."""
    count = 0
    for fd in os.listdir(PROC / "fd"):
        with contextlib.suppress(OSError):  # closed by now, as the listing's own is
            count += os.readlink(PROC / "fd" / fd) == pipe
    return count


def _is_pair(fd: int) -> bool:
    """Whether a socket is one of a pair's ends: its peer is the process that made it (SO_PEERCRED)."""
    with socket.socket(fileno=os.dup(fd)) as end:
        if end.family != socket.AF_UNIX:
            return False
        pid, _, _ = _CREDENTIALS.unpack(end.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size))
        return bool(pid == os.getpid())
