"""CPU per request of our server and of uvicorn, in alternating rounds: python -m tests.bench.hello --uvicorn PYTHON.

Requests per second move with the machine's noise; CPU microseconds per request of the server's process hardly do. So
the servers take turns on one core, wrk has the other, and the medians of all rounds are compared. Ours is in the form
in which it is installed, or with --plain never compiled.
"""

from __future__ import annotations

import argparse
import os
import re
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.bench.forms import INSTALLED, PLAIN, forms
from tests.bench.process_tree import ROOT, TICK, free_port


def start(command: list[str], port: int, core: int, root: Path = ROOT) -> subprocess.Popen[bytes]:
    """The server, answering already."""
    environment = dict(os.environ, PYTHONPATH=str(root))
    pinned = ["taskset", "-c", str(core), *command]
    server = subprocess.Popen(pinned, env=environment, stderr=subprocess.DEVNULL, cwd=root)
    for _ in range(100):
        try:
            socket.create_connection(("127.0.0.1", port)).close()
            return server
        except OSError:
            time.sleep(0.1)
    raise SystemExit(f"{command[0]}: does not listen")


def cpu_seconds(pid: int) -> float:
    """User and system time of a process; taskset execs, so the pid is the server's. In clock ticks of 10 ms."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICK


def measure(pid: int, port: int, options: argparse.Namespace) -> float:
    """CPU microseconds per request over one round."""
    before = cpu_seconds(pid)
    command = ["taskset", "-c", str(options.client_core), "wrk", "-t1", f"-c{options.connections}"]
    if options.app == "echo":
        command += ["-s", str(Path(__file__).parent / "lua" / "post_1k.lua")]
    for header in options.header:
        command += ["-H", header]
    said = subprocess.run(
        [*command, f"-d{options.seconds}s", f"http://127.0.0.1:{port}/"], capture_output=True, text=True, check=True
    ).stdout
    requests = re.search(r"(\d+) requests in", said)
    if requests is None or "Non-2xx" in said or "Socket errors" in said:
        raise SystemExit(f"wrk: {said}")
    return (cpu_seconds(pid) - before) * 1e6 / int(requests[1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--uvicorn", required=True, help="a Python that has uvicorn, uvloop and httptools")
    parser.add_argument("--app", default="hello", choices=("hello", "echo"))
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=int, default=3)
    parser.add_argument("--connections", type=int, default=64)
    parser.add_argument("--core", type=int, default=0)
    parser.add_argument("--client-core", type=int, default=1)
    parser.add_argument("--header", action="append", default=[], help="sent with each request")
    parser.add_argument("--set", action="append", default=[], help="a setting of ours, name=value")
    parser.add_argument("--plain", action="store_true", help="ours in plain Python")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="bench-") as directory:
        made = forms(Path(directory), Path(sys.executable))
        run(options, made[PLAIN if options.plain else INSTALLED])


def run(options: argparse.Namespace, root: Path) -> None:
    """All rounds, and what came out."""
    ports = {"ours": free_port(), "uvicorn": free_port()}
    ours = [sys.executable, "-m", "tests.bench.target", options.app, str(ports["ours"]), *options.set]
    theirs = [options.uvicorn, "-m", "uvicorn", f"tests.bench.apps:{options.app}", "--port", str(ports["uvicorn"])]
    theirs += [
        "--no-access-log",
        "--log-level",
        "error",
        "--lifespan",
        "off",
        "--loop",
        "uvloop",
        "--http",
        "httptools",
    ]
    servers = {
        name: start(command, ports[name], options.core, root) for name, command in (("ours", ours), ("uvicorn", theirs))
    }
    figures: dict[str, list[float]] = {name: [] for name in servers}
    try:
        for _ in range(options.rounds):
            for name, server in servers.items():
                figures[name].append(measure(server.pid, ports[name], options))
    finally:
        for server in servers.values():
            server.kill()
            server.wait()
    for name, values in figures.items():
        print(f"{name:8} {statistics.median(values):6.2f} us/request   rounds: {' '.join(f'{v:.2f}' for v in values)}")
    print(f"ratio    {statistics.median(figures['ours']) / statistics.median(figures['uvicorn']):6.3f}")


if __name__ == "__main__":
    main()
