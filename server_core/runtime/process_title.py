"""What ps(1) shows of this process: its arguments' memory, overwritten in place, and its name.

The kernel reads the arguments of a process from where its memory has them (proc_pid_cmdline(5)), so that a text written
there is what `ps`, `top -c`, `pgrep -f` and /proc/PID/cmdline show. It is cut to the room that the arguments had: those
of a worker take about 400 bytes. The name (`ps -o comm`, `top`, `pgrep`) is cut to 15 bytes by the kernel
(proc_pid_comm(5)).

Python has copied its arguments by then (PyConfig), so that sys.argv and sys.orig_argv stay as they are. Rejected: the
package setproctitle, which does the same, and takes the environment's memory besides for longer titles;
PR_SET_MM (prctl(2)), which moves the arguments elsewhere and wants CAP_SYS_RESOURCE.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

STAT: Final = Path("/proc/self/stat")
NAME: Final = Path("/proc/self/comm")
ARG_START: Final = 48
ARG_END: Final = 49
"""Numbers of the fields (proc_pid_stat(5))."""

FIRST_AFTER_NAME: Final = 3
"""The field behind the name, which may hold spaces and parentheses itself."""


def show(title: str) -> str | None:
    """Show the title as far as it fits; what keeps it from being shown, None if nothing does."""
    data = os.fsencode(title)
    try:
        NAME.write_bytes(data[:15])
        fields = STAT.read_bytes().rpartition(b")")[2].split()
        start, end = (int(fields[number - FIRST_AFTER_NAME]) for number in (ARG_START, ARG_END))
    except (OSError, ValueError, IndexError) as error:  # no Linux, /proc is not mounted, or the fields are hidden
        return f"/proc/self does not tell where the arguments are: {error}"
    room = end - start - 1
    if room < 1:
        return "the process has no arguments that could be overwritten"
    import ctypes  # here: it takes 10 ms to import where nothing else needs it

    ctypes.memmove(start, data[:room].ljust(room, b"\0"), room)
    return None
