"""What an idle daemon does: system calls and CPU of the master and its workers: python -m tests.bench.idle.

strace (Debian's package) counts for some seconds; without it only the CPU time is told. A worker's loop beats once a
second, and its second thread looks after it each quarter of the timeout; the master sleeps.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path

from tests.bench.forms import forms
from tests.bench.process_tree import ProcessTree, free_port
from tests.bench.servers import SERVERS, Setup
from tests.bench.venv import python_of

HOUR_S = 3600


def calls(pid: int, seconds: float) -> dict[str, int] | None:
    """System calls by name of one process with all its threads; None without strace."""
    if shutil.which("strace") is None:
        return None
    tracer = subprocess.Popen(["strace", "-qcf", "-p", str(pid)], stderr=subprocess.PIPE, text=True)
    time.sleep(seconds)
    tracer.send_signal(signal.SIGINT)
    said = tracer.communicate()[1]
    rows = re.findall(r"^ *[\d.]+ +[\d.]+ +\d+ +(\d+) +(?:\d+ +)?(\w+)$", said, re.MULTILINE)
    return {name: int(count) for count, name in rows if name != "total"}


def cpu_s(pid: int) -> float:
    """CPU time of a process in seconds, to the nanosecond, all threads."""
    total = 0
    for task in Path(f"/proc/{pid}/task").iterdir():
        total += int((task / "schedstat").read_text().split()[0])
    return total / 1e9


def tell(tree: ProcessTree, seconds: float) -> None:
    """What each process uses in some seconds, and then what it calls in as many."""
    pids = tree.pids()
    before = {pid: cpu_s(pid) for pid in pids}
    time.sleep(seconds)
    spent = {pid: cpu_s(pid) - before[pid] for pid in pids}
    for pid in pids:
        name = "master" if pid == tree.pid else "worker"
        print(f"{name} {pid}: {spent[pid] / seconds * HOUR_S:.2f} s of CPU an hour", end="")
        told = calls(pid, seconds)
        if told is None:
            print("; strace is not installed")
            continue
        rate = sum(told.values()) / seconds
        names = ", ".join(f"{count} {name}" for name, count in sorted(told.items(), key=lambda row: -row[1]))
        print(f"; {rate:.1f} system calls a second ({names or 'none'} in {seconds:g} s)")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--server", default="supervisor-d", help="of servers.py: the form that is installed")
    parser.add_argument("--loop", default="auto", choices=("auto", "uvloop", "asyncio"))
    parser.add_argument("--environment", type=Path, help="the virtual environment of the peers, made if missing")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--seconds", type=float, default=20.0)
    options = parser.parse_args()
    python, server = python_of(options.environment), SERVERS[options.server]
    setup = Setup(python, "tests.bench.apps:hello", free_port(), workers=options.workers)
    with tempfile.TemporaryDirectory(prefix="bench-") as directory:
        root = forms(Path(directory), python)[server.form]
        command = [*server.command(setup), "--loop", options.loop]
        tree = ProcessTree(command, setup.port, core=None, output=Path(directory, "server.out"), root=root)
        try:
            tree.wait_until_listening()
            while len(tree.pids()) <= options.workers:
                time.sleep(0.05)
            time.sleep(3)  # what follows a start is over
            tell(tree, options.seconds)
        finally:
            tree.end()
    print(f"{len(os.sched_getaffinity(0))} CPUs, {options.workers} workers")


if __name__ == "__main__":
    main()
