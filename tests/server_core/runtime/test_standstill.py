"""Asked in a process of its own, whose main thread waits for ever: what the one thread that asks is told."""

from __future__ import annotations

import math
import platform
import subprocess
import sys
from typing import Final

import pytest

from server_core.runtime.standstill import CALLS
from tests.helpers.daemon import environment
from tests.helpers.deadline import GENEROUS_S

PROGRAM: Final = """
import asyncio, ctypes, multiprocessing, os, queue, select, subprocess, threading, time, uvloop
from server_core.runtime import standstill

async def served():
    async with await asyncio.start_server(lambda *_: None, "127.0.0.1", 0) as server:
        await server.serve_forever()

async def read():
    child = await asyncio.create_subprocess_exec("cat", stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    await child.stdout.read()

never = threading.Event()

def named():
    # What the kernel leaves of a long name, as Python gives it from 3.14 on, may end within a character.
    ctypes.CDLL(None).prctl(15, "consumer".encode() + "п".encode() * 8, 0, 0, 0)  # PR_SET_NAME
    never.wait()

def ask():
    answer = standstill.is_final(threading.Event())
    asked = 0
    while not answer and asked < float("{times}"):  # the others may not have begun to wait yet
        answer, asked = standstill.is_final(threading.Event()), asked + 1
    os.write(1, str(answer).encode())
    os._exit(0)

threading.Thread(target={target}, args={args}, daemon=True).start()
threading.Thread(target=ask).start()
never.wait()
"""

FINAL: Final = {
    "event": ("never.wait", "()"),
    "a name that the kernel has cut": ("named", "()"),
    "queue": ("queue.Queue().get", "()"),
    "lock": ("[lock := threading.Lock(), lock.acquire()][0].acquire", "()"),
    "join": ("threading.main_thread().join", "()"),
    "an idle event loop": ("asyncio.new_event_loop().run_forever", "()"),
    "uvloop": ("uvloop.new_event_loop().run_forever", "()"),
}
NOT_FINAL: Final = {
    "a sleep": ("time.sleep", "(3600,)"),
    "an event with a time limit": ("never.wait", "(3600,)"),
    "a queue with a time limit": ("queue.Queue().get", "(True, 3600)"),
    "a read": ("os.read", "(os.pipe()[0], 1)"),
    "a poll": ("select.poll().poll", "()"),
    "a child process": ("subprocess.Popen('cat', stdin=subprocess.PIPE, stdout=subprocess.DEVNULL).wait", "()"),
    "a lock that processes share": ("[lock := multiprocessing.Lock(), lock.acquire()][0].acquire", "()"),
    "an event loop with a timer": ("asyncio.run", "(asyncio.sleep(3600),)"),
    "an event loop with a connection": ("asyncio.run", "(served(),)"),
    "uvloop with a connection": ("uvloop.run", "(served(),)"),
    "an event loop with a child process": ("asyncio.run", "(read(),)"),
    "a computation": ("exec", "('while True: pass',)"),
}


OFTEN: Final = 20
"""How often the wrong answer must not come."""


def answer(target: str, args: str, times: float) -> str:
    """What it says in the end: yes once it has said so, no if it never has in so many times."""
    program = PROGRAM.format(target=target, args=args, times=times)
    command = [sys.executable, "-c", program]
    asked = subprocess.run(command, capture_output=True, text=True, timeout=GENEROUS_S, env=environment(), check=True)
    return asked.stdout


@pytest.mark.skipif(platform.machine() not in CALLS, reason="the system calls' numbers are not known for this machine")
@pytest.mark.parametrize("what", FINAL)
def test_threads_that_wait_for_each_other_are_at_an_end(what: str) -> None:
    assert answer(*FINAL[what], times=math.inf) == "True"


@pytest.mark.parametrize("what", NOT_FINAL)
def test_a_thread_that_may_go_on_by_itself_is_waited_for(what: str) -> None:
    assert answer(*NOT_FINAL[what], times=OFTEN) == "False"
