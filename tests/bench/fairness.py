"""How connections that come at once are shared, and what that costs: python -m tests.bench.fairness.

For 64 and 256 connections at once: the share of the busiest worker, and Jain's index, (sum x)^2 / (n * sum x^2), which
is 1 when all have the same. Then new connections per second, one request each. `fair-accept` on and off take turns in
one run; the medians are compared. The workers and the client share the machine's cores, as they come. Latencies once
the connections are there are steady.py's.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
import statistics
import subprocess
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPConnection
from pathlib import Path

from tests.bench.forms import INSTALLED, forms
from tests.bench.process_tree import free_port
from tests.bench.venv import python_of

APP = """
import os
PID = str(os.getpid()).encode()
async def app(scope, receive, send):
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % len(PID))]})
    await send({"type": "http.response.body", "body": PID})
"""


@contextmanager
def serving(python: Path, root: Path, workers: int, fair: str) -> Iterator[int]:
    """A daemon whose workers are all ready, and its port. The application is in the root."""
    port = free_port()
    command = [str(python), "-m", "supervisor_d", "run", "app:app", "--app-dir", str(root), "--lifespan", "off"]
    command += [
        "--bind",
        f"127.0.0.1:{port}",
        "--workers",
        str(workers),
        "--fair-accept" if fair == "on" else "--no-fair-accept",
    ]
    command += ["--control-socket", f"@bench-fairness-{port}"]
    environment = dict(os.environ, PYTHONPATH=str(root))
    with subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, cwd=root) as daemon:
        assert daemon.stderr is not None
        ready = 0
        while ready < workers:
            line = daemon.stderr.readline()
            if not line:
                raise SystemExit("the daemon ended")
            ready += b"worker.ready" in line
        try:
            yield port
        finally:
            daemon.send_signal(signal.SIGQUIT)
            daemon.stderr.read()


def shares(port: int, number: int, workers: int) -> list[int]:
    """How many of so many simultaneous connections each worker has got."""
    connections = [HTTPConnection("127.0.0.1", port, timeout=20) for _ in range(number)]
    try:
        for connection in connections:
            connection.connect()
        for connection in connections:
            connection.request("GET", "/")
        found = Counter(connection.getresponse().read() for connection in connections)
    finally:
        for connection in connections:
            connection.close()
    return sorted([*found.values(), *[0] * (workers - len(found))], reverse=True)


def jain(values: list[int]) -> float:
    return sum(values) ** 2 / (len(values) * sum(value * value for value in values))


async def rate(port: int, seconds: float, clients: int) -> float:
    """New connections per second, each for one request."""
    done = 0
    until = time.monotonic() + seconds

    async def client() -> None:
        nonlocal done
        while time.monotonic() < until:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            answer = await reader.read()
            assert answer.startswith(b"HTTP/1.1 200"), answer
            writer.close()
            done += 1

    began = time.monotonic()
    await asyncio.gather(*(client() for _ in range(clients)))
    return done / (time.monotonic() - began)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--environment", type=Path, help="the virtual environment of the peers, made if missing")
    parser.add_argument("--workers", type=int, default=4)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=2.0)
    parser.add_argument("--clients", type=int, default=32)
    options = parser.parse_args()
    busiest: dict[tuple[str, int], list[float]] = {}
    index: dict[tuple[str, int], list[float]] = {}
    rates: dict[str, list[float]] = {"on": [], "off": []}
    python = python_of(options.environment)
    with tempfile.TemporaryDirectory(prefix="bench-") as directory:
        root = forms(Path(directory), python)[INSTALLED]
        (root / "app.py").write_text(APP)
        for _ in range(options.rounds):
            for fair in ("on", "off"):
                with serving(python, root, options.workers, fair) as port:
                    for number in (64, 256):
                        found = shares(port, number, options.workers)
                        busiest.setdefault((fair, number), []).append(max(found) / number)
                        index.setdefault((fair, number), []).append(jain(found))
                    rates[fair].append(asyncio.run(rate(port, options.seconds, options.clients)))
    for (fair, number), values in busiest.items():
        told = " ".join(f"{value:.0%}" for value in values)
        print(
            f"fair-accept {fair:3}  {number:3} at once: busiest {statistics.median(values):.0%} ({told}), "
            f"Jain's index {statistics.median(index[fair, number]):.3f}"
        )
    on, off = (statistics.median(rates[fair]) for fair in ("on", "off"))
    print(f"new connections per second: on {on:.0f}, off {off:.0f}, ratio {on / off:.3f}")


if __name__ == "__main__":
    main()
