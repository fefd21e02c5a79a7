"""What the kernel tells of a process: its state and its memory, by psutil. Host side.

Imported when a worker is first looked at, not before: see deferred_imports.py.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

import psutil

from supervisor_d.vocabulary import Pid, ProcessState

STATES: Final = {
    psutil.STATUS_STOPPED: ProcessState.STOPPED,
    psutil.STATUS_TRACING_STOP: ProcessState.STOPPED,
    psutil.STATUS_ZOMBIE: ProcessState.UNKNOWN,
    psutil.STATUS_DEAD: ProcessState.UNKNOWN,
}


def process_state(pid: Pid) -> ProcessState:
    """What the kernel says; UNKNOWN if it no longer knows the process."""
    try:
        return STATES.get(psutil.Process(pid).status(), ProcessState.RUNNING)
    except psutil.Error:
        return ProcessState.UNKNOWN


def starved_s(pid: Pid) -> float:
    """Seconds since its start that the main thread could run and had no CPU; 0.0 where the kernel does not count them.

    The second figure of /proc/PID/schedstat, in nanoseconds (kernel Documentation/scheduler/sched-stats.rst).
    """
    try:
        fields = Path(f"/proc/{pid}/schedstat").read_text(encoding="ascii").split()
    except OSError:  # gone, hidden, not Linux, or a kernel without CONFIG_SCHED_INFO
        return 0.0
    return int(fields[1]) / 1e9


def rss_bytes(pid: Pid) -> int | None:
    """The resident size, in which shared pages count in full; None if the process is gone."""
    try:
        return int(psutil.Process(pid).memory_info().rss)
    except psutil.Error:
        return None


def pss_bytes(pid: Pid) -> int | None:
    """The PSS, where it can be had; else the RSS, which counts shared pages in full; None if the process is gone.

    A worker that changed its uid, or that forbids dumps, has its smaps hidden from us (proc_pid_smaps(5)).
    """
    try:
        process = psutil.Process(pid)
        try:
            full = process.memory_full_info()
        except psutil.AccessDenied:
            return int(process.memory_info().rss)
        return int(full.pss if hasattr(full, "pss") else full.uss)
    except psutil.Error:
        return None
