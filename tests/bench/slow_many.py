"""What each of 5,000 slow or silent connections costs, and how long a normal client waits beside them.

python -m tests.bench.slow_many [--server NAME] [--transport tls]. For each kind, plain and over TLS, a server is
started with one worker and with deadlines so long that all connections stay. The normal client asks by a new connection
each time, from before the first of them until after the last. Memory is the PSS of the server's whole process tree:
before, with all connections open, and two seconds after they have gone; what the kernel holds for sockets is not in it.
"""

from __future__ import annotations

import argparse
import contextlib
import http.client
import resource
import select
import ssl
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import IO, Final

from tests.bench.crowd import KINDS, TIMEOUT_S
from tests.bench.process_tree import ROOT, Failed, ProcessTree, free_port
from tests.bench.servers import SERVERS, Setup
from tests.bench.venv import python_of
from tests.helpers.certificates import Authority, Pair

INTERVAL_S: Final = 0.02
PATIENT: Final = {f"SUPERVISOR_D_{name}": "600" for name in ("HEADER_TIMEOUT", "BODY_TIMEOUT", "KEEP_ALIVE")} | {
    "SUPERVISOR_D_BODY_MIN_RATE": "0"
}
"""Our deadlines would send these clients away before the last of them has come; most peers have none."""

COLUMNS: Final = ("server", "clients", "came", "held", "KB each", "requests", "failed", "p50 ms", "p99 ms", "max ms")
MEMORY: Final = ("MiB before", "during", "after")


@dataclass
class Normal:
    """A client like others: a new connection for each request."""

    port: int
    context: ssl.SSLContext | None
    waits_ms: list[float] = field(default_factory=list)
    failures: int = 0

    def ask(self) -> None:
        began = time.monotonic()
        client = (
            http.client.HTTPSConnection("localhost", self.port, timeout=TIMEOUT_S, context=self.context)
            if self.context
            else http.client.HTTPConnection("localhost", self.port, timeout=TIMEOUT_S)
        )
        try:
            client.request("GET", "/")
            if client.getresponse().read() != b"hello":
                raise http.client.HTTPException("not what was asked for")
            self.waits_ms.append((time.monotonic() - began) * 1000)
        except (OSError, http.client.HTTPException):
            self.failures += 1
        finally:
            client.close()
        time.sleep(INTERVAL_S)

    def cells(self) -> list[str]:
        waits = sorted(self.waits_ms) or [float("nan")]
        p99 = waits[min(len(waits) - 1, len(waits) * 99 // 100)]
        times = [f"{wait:.1f}" for wait in (statistics.median(waits), p99, waits[-1])]
        return [str(len(self.waits_ms)), str(self.failures), *times]


@contextlib.contextmanager
def crowd(port: int, kind: str, options: argparse.Namespace, tls: bool) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-m", "tests.bench.crowd", str(port), kind]
    command += ["--connections", str(options.connections), "--rate", str(options.rate)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    process = subprocess.Popen([*command, *(["--tls"] if tls else [])], cwd=ROOT, text=True, **pipes)  # type: ignore[call-overload]
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def beside(tree: ProcessTree, normal: Normal, kind: str, options: argparse.Namespace) -> list[str]:
    """One row: the cells behind the names."""
    for _ in range(50):  # so that what is made once has been made
        normal.ask()
    normal.waits_ms.clear()
    before = tree.pss_bytes()
    with crowd(tree.port, kind, options, normal.context is not None) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        until = time.monotonic() + options.patience
        while not has_spoken(process.stdout):
            normal.ask()
            if process.poll() is not None or time.monotonic() > until:
                raise Failed(f"{kind}: the connections were not opened")
        came = int(process.stdout.readline())
        until = time.monotonic() + options.seconds
        while time.monotonic() < until:
            normal.ask()
        during = tree.pss_bytes()
        process.stdin.close()
        held = int(process.stdout.readline())
    until = time.monotonic() + 2
    while time.monotonic() < until:
        normal.ask()
    each = f"{(during - before) / held / 1000:.1f}" if held else "-"
    sizes = [f"{size / 1024**2:.1f}" for size in (before, during, tree.pss_bytes())]
    return [str(came), str(held), each, *normal.cells(), *sizes]


def has_spoken(pipe: IO[str]) -> bool:
    return bool(select.select([pipe], [], [], 0)[0])


def measure(name: str, kind: str, pair: Pair | None, options: argparse.Namespace, place: Path) -> list[str]:
    """A row for one server, which is started for it."""
    setup = Setup(python_of(options.environment), "tests.bench.apps:slow", free_port())
    context = None
    if pair is not None:
        setup = replace(setup, certificate=Path(pair.certificate), key=Path(pair.key))
        context = ssl.create_default_context(cafile=str(place / "authority.pem"))
    tree = ProcessTree(SERVERS[name].command(setup), setup.port, core=None, output=place / "server.out", **PATIENT)
    try:
        tree.wait_until_listening()
        return beside(tree, Normal(setup.port, context), kind, options)
    finally:
        tree.end()


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--server", action="append", choices=list(SERVERS), help="may be repeated; default: ours")
    parser.add_argument("--kind", action="append", choices=list(KINDS), help="may be repeated; default: all")
    parser.add_argument("--connections", type=int, default=5000)
    parser.add_argument("--rate", type=float, default=500.0, help="new ones a second (%(default)g)")
    parser.add_argument("--seconds", type=float, default=10.0, help="how long they stay, once all have come")
    parser.add_argument("--patience", type=float, default=120.0, help="seconds in which they must have come")
    parser.add_argument("--environment", type=Path, help="of the peers; default: see tests/bench/venv.py")
    parser.add_argument("--transport", choices=("plain", "tls", "both"), default="both")
    options = parser.parse_args()
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(hard, options.connections + 500)), hard))
    columns = COLUMNS + MEMORY
    print(f"| {' | '.join(columns)} |\n{'|---' * len(columns)}|", flush=True)
    with tempfile.TemporaryDirectory(prefix="slow-many-") as directory:
        pair = Authority(Path(directory)).pair("localhost")
        for tls in (False, True):
            if options.transport == ("plain" if tls else "tls"):
                continue
            for kind in options.kind or KINDS:
                if kind == "unshaken" and not tls:
                    continue
                for name in options.server or ["supervisor-d"]:
                    try:
                        cells = measure(name, kind, pair if tls else None, options, Path(directory))
                    except Failed as failed:
                        cells = [str(failed)]
                    print(f"| {name} | {kind}{', TLS' if tls else ''} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
