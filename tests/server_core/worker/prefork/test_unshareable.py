"""What an import left open, as it is named to the user."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from server_core.worker.prefork import unshareable


def named(pid: int) -> str:
    """What is said of this child."""
    (found,) = (text for text in unshareable.processes() if text.startswith(f"a child process, pid {pid} "))
    return found.partition(f"pid {pid} ")[2]


@contextmanager
def shell(*words: str) -> Iterator[subprocess.Popen[bytes]]:
    """A shell by this command line, once it runs. It ends when its standard input does."""
    with subprocess.Popen(words, executable="/bin/sh", stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        assert child.stdin is not None
        assert child.stdout is not None
        child.stdin.write(b"echo running\n")
        child.stdin.flush()
        assert child.stdout.readline() == b"running\n"
        yield child


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("any", "-s", "x y"), "(any -s x y)"),
        (("any", "-s", "x" * 80), "(any -s " + "x" * 53 + "...)"),
        ((" ",), "(sh)"),
    ],
    ids=["short", "long", "blank"],
)
def test_a_child_is_named_by_its_command_line_or_without_one_by_its_name(words: tuple[str, ...], told: str) -> None:
    with shell(*words) as child:
        assert named(child.pid) == told


def test_a_child_that_has_ended_is_named_as_that() -> None:
    with subprocess.Popen(["true"]) as child:
        os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
        assert named(child.pid) == "(ended, and not waited for)"
