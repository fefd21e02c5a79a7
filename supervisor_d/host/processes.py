"""What the kernel tells of a process: its state and its memory. Host side.

Linux tells it in three files; psutil reads the same ones, and takes 0.8 MB and 15 ms of a master to load (CPython
3.11.7, psutil 7), so that it is used, and needed, elsewhere only. None: the process is gone, or a zombie's memory is.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Final

from supervisor_d.vocabulary import Pid, ProcessState

if sys.platform == "linux":
    PAGE: Final = os.sysconf("SC_PAGE_SIZE")
    STATES: Final = {"T": ProcessState.STOPPED, "t": ProcessState.STOPPED, "Z": ProcessState.UNKNOWN}
    """proc_pid_stat(5): stopped by a signal, by a tracer; a zombie. `X`, dead, is never seen."""

    def state(pid: Pid) -> ProcessState | None:
        """What it is doing; UNKNOWN if it is a zombie."""
        try:
            text = Path(f"/proc/{pid}/stat").read_text(errors="replace")
        except OSError:
            return None
        # The name in parentheses may hold parentheses, too.
        return STATES.get(text.rpartition(")")[2].split()[0], ProcessState.RUNNING)

    def rss_bytes(pid: Pid) -> int | None:
        """The resident size; shared pages count in full."""
        try:
            return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * PAGE or None
        except OSError:
            return None

    def pss_bytes(pid: Pid) -> int | None:
        """The PSS, where it can be had; else the RSS.

        A worker that changed its uid, or that forbids dumps, has its smaps hidden from us (proc_pid_smaps(5)).
        """
        try:
            lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
            return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("Pss:"))
        except (OSError, StopIteration):
            return rss_bytes(pid)

else:
    import psutil

    STOPPED: Final = (psutil.STATUS_STOPPED, psutil.STATUS_TRACING_STOP)
    UNKNOWN: Final = (psutil.STATUS_ZOMBIE, psutil.STATUS_DEAD)

    def state(pid: Pid) -> ProcessState | None:
        """What it is doing; UNKNOWN if it is a zombie."""
        try:
            told = psutil.Process(pid).status()
        except psutil.Error:
            return None
        if told in STOPPED:
            return ProcessState.STOPPED
        return ProcessState.UNKNOWN if told in UNKNOWN else ProcessState.RUNNING

    def rss_bytes(pid: Pid) -> int | None:
        """The resident size; shared pages count in full."""
        try:
            return int(psutil.Process(pid).memory_info().rss)
        except psutil.Error:
            return None

    def pss_bytes(pid: Pid) -> int | None:
        """The nearest thing there is to PSS, or the resident size."""
        try:
            return int(psutil.Process(pid).memory_full_info().uss)
        except psutil.Error:
            return rss_bytes(pid)
