"""A title in the place of a process's arguments, in a process of its own."""

from __future__ import annotations

import subprocess
import sys

PROGRAM = """
import sys
from pathlib import Path
from server_core.runtime.process_title import show
before = len(Path("/proc/self/cmdline").read_bytes())
problem = show(sys.argv[1] * int(sys.argv[2]))
shown = Path("/proc/self/cmdline").read_bytes()
environment = b"MARK=1" in Path("/proc/self/environ").read_bytes().split(b"\\0")
print([problem, len(shown) - before, shown.rstrip(b"\\0").decode(), environment, sys.argv[1] == sys.orig_argv[-2]])
"""


def shown(title: str, times: int = 1) -> list[object]:
    asked = subprocess.run(
        [sys.executable, "-c", PROGRAM, title, str(times)],
        capture_output=True,
        text=True,
        check=True,
        env={"MARK": "1", "PYTHONPATH": ":".join(sys.path)},
    )
    found: list[object] = eval(asked.stdout)
    return found


def test_a_title_replaces_the_arguments_and_nothing_else() -> None:
    assert shown("shop: worker 1") == [None, 0, "shop: worker 1", True, True]


def test_a_long_title_is_cut_to_the_room_of_the_arguments() -> None:
    problem, grown, text, has_environment, has_argv = shown("x", 5000)
    assert (problem, grown, has_environment, has_argv) == (None, 0, True, True)
    assert isinstance(text, str)
    assert set(text) == {"x"}
    assert len(PROGRAM) < len(text) < 5000
