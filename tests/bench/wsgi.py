"""WSGI servers beside ours: python -m tests.bench.wsgi --python PYTHON [--loads NAME,...] [--servers NAME,...]

PYTHON has gunicorn, granian and waitress, Flask and Django, and what our packages need. One worker on one core, wrk on
another; the servers take turns, and medians of the rounds are shown. CPU is that of the server's processes, a master
among them, in microseconds a request; ours is in the form in which it is installed.
"""

from __future__ import annotations

import argparse
import http.client
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.bench.forms import INSTALLED, forms
from tests.bench.process_tree import ROOT, Failed, ProcessTree, free_port

MODULE: Final = "tests.bench.wsgi_apps"
UPLOAD_BYTES: Final = 1 << 30
PART: Final = bytes(1 << 20)


@dataclass(frozen=True, slots=True)
class Load:
    """`run` is given a port and seconds, and says requests, seconds, and what else is worth telling."""

    app: str
    connections: int = 64


LOADS: Final[Mapping[str, Load]] = {
    "hello": Load("hello"),
    "flask": Load("flask_app"),
    "django": Load("django_app"),
    "waiting": Load("waiting"),
    "file": Load("file"),
    "yields": Load("yields", 4),
    "upload": Load("upload", 0),
}

Command = Callable[[str, str, int], list[str]]
"""By the interpreter, the application and a port."""


def ours(threads: int) -> Command:
    def command(python: str, app: str, port: int) -> list[str]:
        return [python, "-m", "server_core", app, "--port", str(port), "--threads", str(threads), "--interface", "wsgi"]

    return command


def gunicorn(*more: str) -> Command:
    def command(python: str, app: str, port: int) -> list[str]:
        return [python, "-m", "gunicorn", "-b", f"127.0.0.1:{port}", "-w", "1", "--log-level", "error", *more, app]

    return command


def granian(threads: int) -> Command:
    def command(python: str, app: str, port: int) -> list[str]:
        words = [python, "-m", "granian", "--interface", "wsgi", "--host", "127.0.0.1", "--port", str(port)]
        return [*words, "--workers", "1", "--blocking-threads", str(threads), "--no-ws", "--log-level", "error", app]

    return command


def waitress(python: str, app: str, port: int) -> list[str]:
    return [python, "-m", "waitress", f"--listen=127.0.0.1:{port}", "--threads=10", "--no-expose-tracebacks", app]


SERVERS: Final[Mapping[str, Command]] = {
    "ours 1": ours(1),
    "ours 10": ours(10),
    "granian 1": granian(1),
    "granian 10": granian(10),
    "gunicorn sync": gunicorn("-k", "sync"),
    "gunicorn gthread": gunicorn("-k", "gthread", "--threads", "10", "--keep-alive", "75"),
    "waitress": waitress,
}


@dataclass(frozen=True, slots=True)
class Figures:
    cpu_us: float
    rate: float
    p99_ms: float
    pss_mib: float


def ask(load: Load, port: int, options: argparse.Namespace) -> tuple[int, float, float]:
    """Requests answered, how many a second, and the 99th percentile in ms."""
    if not load.connections:
        return upload(port)
    command = ["taskset", "-c", str(options.client_core), "wrk", "-t1", f"-c{load.connections}", "--latency"]
    url = f"http://127.0.0.1:{port}/"
    said = subprocess.run(
        [*command, "--timeout", "10s", f"-d{options.seconds}s", url], capture_output=True, text=True, check=True
    ).stdout
    requests, rate = re.search(r"(\d+) requests in", said), re.search(r"Requests/sec:\s+([\d.]+)", said)
    latency = re.search(r"99%\s+([\d.]+)(us|ms|s)", said)
    if requests is None or rate is None or latency is None or "Non-2xx" in said:
        raise Failed(" ".join(said.split())[-200:])
    return int(requests[1]), float(rate[1]), float(latency[1]) * {"us": 0.001, "ms": 1.0, "s": 1000.0}[latency[2]]


def upload(port: int) -> tuple[int, float, float]:
    """One upload of 1 GiB, whose bytes must all have been read."""
    began_at = time.monotonic()
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=300)
    connection.putrequest("POST", "/")
    connection.putheader("content-length", str(UPLOAD_BYTES))
    connection.endheaders()
    for _ in range(UPLOAD_BYTES // len(PART)):
        connection.send(PART)
    answer = connection.getresponse().read()
    connection.close()
    if answer != str(UPLOAD_BYTES).encode():
        raise Failed(f"read {answer!r} of {UPLOAD_BYTES}")
    took_s = time.monotonic() - began_at
    return 1, 1 / took_s, took_s * 1000


def warm_up(port: int) -> None:
    """Ask once, and wait for the answer: what a first request imports is not the load's."""
    client = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    client.request("GET", "/")
    client.getresponse().read()
    client.close()


def measure(name: str, load: Load, root: Path, options: argparse.Namespace) -> Figures:
    """One round of a server that was started for it."""
    port = free_port()
    with tempfile.NamedTemporaryFile() as output:
        command = SERVERS[name](options.python, f"{MODULE}:{load.app}", port)
        where = root if name.startswith("ours") else ROOT
        server = ProcessTree(command, port, core=options.core, output=Path(output.name), root=where)
        try:
            server.wait_until_listening()
            if load.connections:
                warm_up(port)
            before = server.cpu_s()
            requests, rate, p99_ms = ask(load, port, options)
            used = server.cpu_s() - before
            return Figures(used * 1e6 / max(1, requests), rate, p99_ms, server.pss_bytes() / (1 << 20))
        finally:
            server.end()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--python", required=True)
    parser.add_argument("--loads", default=",".join(LOADS))
    parser.add_argument("--servers", default=",".join(SERVERS))
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=int, default=3)
    parser.add_argument("--core", type=int, default=0)
    parser.add_argument("--client-core", type=int, default=1)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="bench-") as directory:
        root = forms(Path(directory), Path(sys.executable))[INSTALLED]
        for chosen in options.loads.split(","):
            found: dict[str, list[Figures]] = {name: [] for name in options.servers.split(",")}
            for _ in range(options.rounds):
                for name, rounds in found.items():
                    try:
                        rounds.append(measure(name, LOADS[chosen], root, options))
                    except (Failed, OSError) as error:
                        print(f"{chosen:8} {name:18} {error}", flush=True)
            for name, rounds in found.items():
                if rounds:
                    show(chosen, name, rounds)


def show(load: str, name: str, rounds: list[Figures]) -> None:
    cpu, rate, p99, pss = (
        statistics.median(getattr(one, field) for one in rounds) for field in ("cpu_us", "rate", "p99_ms", "pss_mib")
    )
    told = f"{cpu:12.1f} us CPU/request {rate:10.1f}/s  p99 {p99:8.2f} ms {pss:7.1f} MiB"
    print(f"{load:8} {name:18} {told}", flush=True)


if __name__ == "__main__":
    main()
