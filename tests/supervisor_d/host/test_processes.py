"""What the kernel tells of a process: as psutil reads it, and nothing of one that is gone."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator

import psutil
import pytest

from supervisor_d.host import processes
from supervisor_d.vocabulary import Pid, ProcessState

ALLOWED = 2_000_000
"""Bytes that this process may grow or shrink between two looks."""


@pytest.fixture
def child() -> Iterator[subprocess.Popen[bytes]]:
    """A process that waits for its standard input to end."""
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    yield process
    process.kill()
    process.wait()
    assert process.stdin is not None
    process.stdin.close()


def gone() -> Pid:
    """The pid of a process that has been reaped."""
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return Pid(process.pid)


def test_a_process_that_runs_is_running() -> None:
    assert processes.state(Pid(os.getpid())) is ProcessState.RUNNING


def test_a_process_that_was_stopped_is_stopped(child: subprocess.Popen[bytes]) -> None:
    child.send_signal(signal.SIGSTOP)
    os.waitid(os.P_PID, child.pid, os.WSTOPPED | os.WNOWAIT)
    assert processes.state(Pid(child.pid)) is ProcessState.STOPPED


def test_of_a_zombie_the_state_is_unknown(child: subprocess.Popen[bytes]) -> None:
    child.kill()
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    assert processes.state(Pid(child.pid)) is ProcessState.UNKNOWN


def test_memory_is_what_psutil_says() -> None:
    pid = Pid(os.getpid())
    process = psutil.Process()
    rss, full = process.memory_info().rss, process.memory_full_info()
    assert processes.rss_bytes(pid) == pytest.approx(rss, abs=ALLOWED)
    assert processes.pss_bytes(pid) == pytest.approx(full.pss if hasattr(full, "pss") else full.uss, abs=ALLOWED)


def test_of_a_process_that_is_gone_nothing_is_told() -> None:
    pid = gone()
    assert (processes.state(pid), processes.rss_bytes(pid), processes.pss_bytes(pid)) == (None, None, None)


@pytest.mark.skipif(sys.platform != "linux" or os.geteuid() != 0, reason="needs Linux, and root to change the uid")
def test_of_a_process_that_hides_its_pages_the_resident_size_is_told() -> None:
    """As root nothing is hidden, so the looking is done by a process that is nobody."""
    code = (
        "import os, sys; from supervisor_d.host import processes; os.setuid(65534);"
        "pid = int(sys.argv[1]); print(processes.pss_bytes(pid) == processes.rss_bytes(pid) != None)"
    )
    told = subprocess.run(
        [sys.executable, "-c", code, str(os.getpid())], capture_output=True, text=True, check=False, timeout=30
    )
    assert told.stdout == "True\n", told.stderr
