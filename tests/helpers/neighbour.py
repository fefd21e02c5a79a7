"""Another user of this machine: a process with a uid of its own, which does something and stays until it is let go."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import pytest

from tests.helpers.daemon import REPOSITORY

NEIGHBOUR: Final = 4242
"""A uid that no user of the machine has."""

needs_a_second_user = pytest.mark.skipif(os.geteuid() != 0, reason="only root can be another user")

PRELUDE: Final = """
import fcntl, os, socket, sys, threading
os.setgroups([])
os.setgid({uid})
os.setuid({uid})
"""
"""The interpreter is root's when it starts: the other user may not be able to reach it."""

STAY: Final = """
print("done", flush=True)
sys.stdin.read()
"""


def python_for(uid: int = NEIGHBOUR) -> tuple[str, dict[str, str]] | None:
    """An interpreter of our version that this user can execute, and the environment in which it finds all modules."""
    paths = os.pathsep.join([str(REPOSITORY), *(path for path in sys.path if path.endswith("-packages"))])
    for candidate in (sys.executable, f"/usr/bin/python{sys.version_info.major}.{sys.version_info.minor}"):
        script = "import click, h11, supervisor_d"
        try:
            tried = subprocess.run(
                [candidate, "-c", script], capture_output=True, check=False,
                user=uid, group=uid, extra_groups=[uid], env={**os.environ, "PYTHONPATH": paths},
            )  # fmt: skip
        except OSError:  # EACCES: closed to that user; ENOENT
            continue
        if tried.returncode == 0:
            return candidate, {"PYTHONPATH": paths}
    return None


@contextmanager
def neighbour(script: str, *arguments: str, uid: int = NEIGHBOUR) -> Iterator[subprocess.Popen[str]]:
    """A process of this uid that has run the script, which finds the arguments in sys.argv."""
    command = [sys.executable, "-c", PRELUDE.format(uid=uid) + script + STAY, *arguments]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        assert process.stdout.readline() == "done\n", "the neighbour failed; its traceback is above"
        yield process
    finally:
        process.stdin.close()
        process.kill()
        process.wait()
        process.stdout.close()


@contextmanager
def shared_directory() -> Iterator[Path]:
    """A directory that every user may look into, removed afterwards.

    None of pytest's own: every run of pytest closes the one that is above them all (0700), also while another runs.
    """
    with tempfile.TemporaryDirectory(prefix="supervisor-d-test-") as name:
        made = Path(name)
        made.chmod(0o755)
        yield made
