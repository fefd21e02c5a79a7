"""The end of the interpreter, when its signal handlers are gone already, outlasts what a worker is sent."""

from __future__ import annotations

import signal
import subprocess
import sys

import pytest

from tests.helpers.daemon import DEADLINE_S, REPOSITORY

ENDING = """
import os, signal, sys
from server_core.runtime.early_signals import outlast_signals
{call}
signal.signal({number}, lambda *_: None)
class Last:
    def __del__(self, kill=os.kill, pid=os.getpid(), write=os.write):
        write(1, b"last")
        kill(pid, {number})
sys.last = Last()
"""


CLOSING = """
import asyncio, os, signal
from server_core.runtime.event_loop import choose
from server_core.runtime.early_signals import forget_signals
loop = choose({loop!r})[1]()
loop.add_signal_handler({number}, print)
loop.run_until_complete(asyncio.sleep(0))
loop.close()
forget_signals()
os.kill(os.getpid(), {number})
"""

SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1, signal.SIGUSR2)
"""What a worker takes, see SIGNALS.md."""


def end(code: str) -> tuple[bytes, int]:
    """What a process said, and how it ended."""
    command = [sys.executable, "-c", code]
    ended = subprocess.run(
        command, cwd=REPOSITORY, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, timeout=DEADLINE_S, check=False
    )
    return ended.stdout, ended.returncode


@pytest.mark.parametrize("number", SIGNALS)
@pytest.mark.parametrize("call", ["", "outlast_signals()"])
def test_a_signal_behind_the_last_exit_function_ends_nothing(call: str, number: signal.Signals) -> None:
    assert end(ENDING.format(call=call, number=int(number))) == (b"last", 0 if call else -number)


@pytest.mark.parametrize("number", SIGNALS)
@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
def test_a_signal_that_a_closed_loop_watched_ends_nothing(loop: str, number: signal.Signals) -> None:
    assert end(CLOSING.format(loop=loop, number=int(number))) == (b"", 0)
