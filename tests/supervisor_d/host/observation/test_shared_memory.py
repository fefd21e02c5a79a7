"""What forking saves, by the kernel's own count."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from typing import NamedTuple

import pytest

from supervisor_d.host.observation.shared_memory import SAMPLED_MAX, anonymous_bytes, saved_bytes

CARGO = 32 * 1024**2

FAMILY = f"""
import os, sys
cargo = bytearray(os.urandom(1024)) * {CARGO // 1024}
reading, writing = os.pipe()
pids = []
for _ in range(3):
    pid = os.fork()
    if pid == 0:
        os.close(writing)
        os.read(reading, 1)
        os._exit(0)
    pids.append(pid)
print(*pids, flush=True)
sys.stdin.read()
"""
"""Three children of a process that has something to share; they live as long as it does."""


class Family(NamedTuple):
    parent: int
    children: list[int]


@pytest.fixture
def family() -> Iterator[Family]:
    command = [sys.executable, "-c", FAMILY]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        yield Family(parent.pid, [int(pid) for pid in parent.stdout.readline().split()])


def test_what_three_share_with_their_parent_is_saved_twice_over(family: Family) -> None:
    """Without forking three would have it; so four processes have it once, and two are saved."""
    saved = saved_bytes(family.parent, family.children)
    assert saved is not None
    assert saved > 1.5 * CARGO


def test_a_template_that_has_ended_takes_nothing(family: Family) -> None:
    saved, less = saved_bytes(None, family.children), saved_bytes(family.parent, family.children)
    assert saved is not None
    assert less is not None
    assert saved > less


def test_many_are_estimated_from_the_first(family: Family) -> None:
    once = saved_bytes(family.parent, family.children[:1])
    many = saved_bytes(family.parent, family.children[:1] * (2 * SAMPLED_MAX))
    assert once is not None
    assert many is not None
    assert many > once


def test_no_more_are_looked_at_than_there_is_time_for(family: Family) -> None:
    gone = 2**22 + 1
    assert saved_bytes(None, [gone, *family.children], budget_s=0.0) is None
    assert saved_bytes(None, [*family.children, gone], budget_s=0.0) is not None
    assert saved_bytes(None, [gone, *family.children], budget_s=3600.0) is not None


def test_nobody_to_look_at_is_nothing_known() -> None:
    assert saved_bytes(os.getpid(), []) is None
    assert anonymous_bytes(2**22 + 1) is None
