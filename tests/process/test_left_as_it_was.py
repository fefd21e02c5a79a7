"""run() returns to a process that is as it was: its signals, its descriptors, its children."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.helpers.daemon import environment

APP = """
import os, signal
async def app(scope, receive, send):
    assert scope["type"] == "lifespan"
    await receive()
    await send({"type": "lifespan.startup.complete"})
    os.kill(int(os.environ["CALLER"]), signal.SIGTERM)
    await receive()
    await send({"type": "lifespan.shutdown.complete"})
"""

CALLER = """
import ctypes, gc, json, os, signal, subprocess, sys, threading
import server_core, supervisor_d

def facts():
    subreaper = ctypes.c_int()
    ctypes.CDLL(None).prctl(37, ctypes.byref(subreaper), 0, 0, 0)
    gc.collect()
    wake_up = signal.set_wakeup_fd(-1)
    return {
        "blocked": sorted(map(int, signal.pthread_sigmask(signal.SIG_BLOCK, ()))),
        "handlers": [str(signal.getsignal(number)) for number in sorted(signal.valid_signals())],
        "wake-up": wake_up,
        "descriptors": sorted(fd for fd in os.listdir("/proc/self/fd") if os.path.lexists(f"/proc/self/fd/{fd}")),
        "subreaper": subreaper.value,
        "score": open("/proc/self/oom_score_adj").read(),
        "directory": os.getcwd(),
        "threads": threading.active_count(),
    }

def ended(code):
    return subprocess.Popen([sys.executable, "-c", f"raise SystemExit({code})"])

def start_another():
    children.append(ended(9))
    returned.wait()

def daemon():
    thread = threading.Thread(target=start_another)
    thread.start()
    supervisor_d.run("app:app", workers=2, bind="127.0.0.1:0", log_level="error", control_socket="off")
    returned.set()
    thread.join()

def alone():
    server_core.run("app:app", port=0, log_level="error", loop="asyncio")  # libuv keeps one pipe for the process

os.environ["CALLER"] = str(os.getpid())
children, returned = [ended(7)], threading.Event()
signal.signal(signal.SIGUSR1, lambda *_: None)
before = facts()
for _ in range(3):
    returned.clear()
    globals()[sys.argv[1]]()
after = facts()
print(json.dumps([{name: (before[name], after[name]) for name in before if before[name] != after[name]},
                  [child.wait() for child in children]]))
"""


@pytest.mark.parametrize(("which", "codes"), [("daemon", [7, 9, 9, 9]), ("alone", [7])])
def test_run_leaves_its_caller_as_it_was(tmp_path: Path, which: str, codes: list[int]) -> None:
    (tmp_path / "app.py").write_text(APP)
    done = subprocess.run(
        [sys.executable, "-c", CALLER, which],
        cwd=tmp_path,
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == [{}, codes]
