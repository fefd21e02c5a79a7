"""What the kernel tells of a process."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from supervisor_d.host.observation.procfs import starved_s
from supervisor_d.vocabulary import Pid


def kernels_figure_s() -> float:
    return int(Path("/proc/self/schedstat").read_text(encoding="ascii").split()[1]) / 1e9


@pytest.mark.skipif(not Path("/proc/self/schedstat").exists(), reason="this kernel does not count run delays")
def test_the_time_without_a_cpu_is_the_kernels_and_only_grows() -> None:
    before = kernels_figure_s()
    told = starved_s(Pid(os.getpid()))
    assert before <= told <= kernels_figure_s()


def test_of_a_process_that_is_gone_it_is_nothing() -> None:
    child = subprocess.Popen(["true"])  # no os.fork(): CPython 3.15 warns of the thread that faulthandler has here
    child.wait()
    assert starved_s(Pid(child.pid)) == 0.0
