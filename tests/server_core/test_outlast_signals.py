"""The end of the interpreter, when its signal handlers are gone already, outlasts a SIGTERM."""

from __future__ import annotations

import signal
import subprocess
import sys

import pytest

from tests.helpers.daemon import DEADLINE_S, REPOSITORY

ENDING = """
import os, signal, sys
from server_core.process import outlast_signals
{call}
signal.signal(signal.SIGTERM, lambda *_: None)
class Last:
    def __del__(self, kill=os.kill, pid=os.getpid(), write=os.write):
        write(1, b"last")
        kill(pid, 15)
sys.last = Last()
"""


@pytest.mark.parametrize(("call", "code"), [("", -signal.SIGTERM), ("outlast_signals()", 0)])
def test_sigterm_behind_the_last_exit_function_ends_nothing(call: str, code: int) -> None:
    command = [sys.executable, "-c", ENDING.format(call=call)]
    ended = subprocess.run(command, cwd=REPOSITORY, stdout=subprocess.PIPE, timeout=DEADLINE_S, check=False)
    assert (ended.stdout, ended.returncode) == (b"last", code)
