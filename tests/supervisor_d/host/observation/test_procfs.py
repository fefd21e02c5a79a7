"""What the kernel tells of a process."""

from __future__ import annotations

import os
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
    child = os.fork()
    if child == 0:
        os._exit(0)
    os.waitpid(child, 0)
    assert starved_s(Pid(child)) == 0.0
