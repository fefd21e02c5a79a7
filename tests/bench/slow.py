"""A normal client beside slowhttptest's slow headers, bodies and readers: python -m tests.bench.slow [--nofile 300].

Starts the daemon with one worker, runs slowhttptest (Debian: slowhttptest) against it, and asks for a page all along,
by a new connection each time. Prints how long that client waited, and the worker's size before, during and after.
"""

from __future__ import annotations

import argparse
import contextlib
import http.client
import os
import shutil
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import psutil

INTERVAL_S = 0.02
ATTACKS = {
    "none": [],
    "slow headers": ["-H", "-i", "5", "-x", "24"],
    "slow body": ["-B", "-i", "5", "-s", "8192", "-t", "POST"],
    "slow read": ["-X", "-w", "512", "-y", "1024", "-n", "5", "-z", "32", "-k", "1"],
}


@dataclass
class Seen:
    """What one attack came to."""

    waits_s: list[float] = field(default_factory=list)
    failures: int = 0
    before: int = 0
    during: int = 0
    after: int = 0
    descriptors: int = 0

    def row(self, name: str) -> str:
        waits = sorted(wait * 1000 for wait in self.waits_s)
        p99 = waits[min(len(waits) - 1, len(waits) * 99 // 100)]
        sizes = " ".join(f"{size / 1024**2:7.1f}" for size in (self.before, self.during, self.after))
        return (
            f"{name:13} {len(waits):8} {self.failures:6} {statistics.median(waits):8.1f} {p99:8.1f} {waits[-1]:8.1f}"
            f" {self.descriptors:6} {sizes}"
        )


@contextlib.contextmanager
def served(port: int, nofile: int | None) -> Iterator[psutil.Process]:
    """The worker of a daemon, which can be asked already."""
    command = [sys.executable, "-m", "supervisor_d", "run", "tests.bench.apps:slow", "--bind", f"127.0.0.1:{port}"]
    limit = ["prlimit", f"--nofile={nofile}"] if nofile else []
    root = str(Path(__file__).parents[2])
    daemon = subprocess.Popen(
        [*limit, *command, "--workers", "1", "--log-level", "warning"],
        env=dict(os.environ, PYTHONPATH=root),
    )
    try:
        for _ in range(200):
            with contextlib.suppress(OSError, http.client.HTTPException):
                ask(port)
                break
            time.sleep(0.1)
        (worker,) = psutil.Process(daemon.pid).children()
        yield worker
    finally:
        daemon.terminate()
        daemon.wait(60)


def ask(port: int) -> float:
    """Seconds until a new connection's request is answered."""
    began = time.monotonic()
    client = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        client.request("GET", "/")
        if client.getresponse().read() != b"hello":
            raise http.client.HTTPException("not what was asked for")
    finally:
        client.close()
    return time.monotonic() - began


def attack(worker: psutil.Process, port: int, kind: list[str], options: argparse.Namespace) -> Seen:
    seen = Seen(before=worker.memory_info().rss)
    command = ["slowhttptest", "-c", str(options.connections), "-r", str(options.rate), "-l", str(options.seconds)]
    path = "large" if "-X" in kind else ""
    idle = ["sleep", str(options.seconds)]
    attacker = subprocess.Popen(
        [*command, "-u", f"http://127.0.0.1:{port}/{path}", "-p", "30", *kind] if kind else idle,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    while attacker.poll() is None:
        try:
            seen.waits_s.append(ask(port))
        except (OSError, http.client.HTTPException):
            seen.failures += 1
        seen.during = max(seen.during, worker.memory_info().rss)
        seen.descriptors = max(seen.descriptors, worker.num_fds())
        time.sleep(INTERVAL_S)
    time.sleep(options.rest)
    seen.after = worker.memory_info().rss
    return seen


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--connections", type=int, default=1000)
    parser.add_argument("--rate", type=int, default=200, help="slow connections a second")
    parser.add_argument("--seconds", type=int, default=10, help="length of each attack")
    parser.add_argument("--rest", type=float, default=2.0, help="seconds between the attacks")
    parser.add_argument("--nofile", type=int, help="descriptors that the daemon may have")
    options = parser.parse_args()
    if shutil.which("slowhttptest") is None:
        raise SystemExit("slowhttptest is not installed (Debian: apt-get install slowhttptest)")
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
    print("attack        requests failed   p50 ms   p99 ms   max ms    fds  MiB before   during   after", flush=True)
    with served(port, options.nofile) as worker:
        for name, kind in ATTACKS.items():
            print(attack(worker, port, kind, options).row(name), flush=True)


if __name__ == "__main__":
    main()
