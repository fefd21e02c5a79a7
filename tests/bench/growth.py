"""What a request costs as things grow: python -m tests.bench.growth [--server NAME].

Connections (idle ones beside 64 busy ones), header fields, body size and workers; CPU microseconds per request of the
process tree, one server, in rounds of a second or two. Nothing may grow faster than what is handed over does.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import socket
import statistics
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.bench.forms import Environment, forms
from tests.bench.loaders import Wrk
from tests.bench.process_tree import ProcessTree, free_port
from tests.bench.report import RESULTS, growth
from tests.bench.servers import SERVERS, Setup
from tests.bench.single_figures import until_answered
from tests.bench.venv import python_of

CPUS = sorted(os.sched_getaffinity(0))
POST = 'wrk.method = "POST"\nwrk.body = string.rep("x", {size})\n'


@contextmanager
def serving(options: argparse.Namespace, environment: Environment, app: str, workers: int = 1) -> Iterator[ProcessTree]:
    setup = Setup(environment.python, f"tests.bench.apps:{app}", free_port(), workers=workers)
    core = CPUS[0] if workers == 1 else None
    server = SERVERS[options.server]
    output, root = environment.place / "server.out", environment.roots[server.form]
    tree = ProcessTree(server.command(setup), setup.port, core=core, output=output, root=root)
    try:
        until_answered(tree)  # a master listens before anybody of many workers answers
        yield tree
    finally:
        tree.end()


@contextmanager
def idle(port: int, number: int) -> Iterator[None]:
    """So many further connections that have asked once and ask no more."""
    socks = []
    try:
        for _ in range(number):
            sock = socket.create_connection(("127.0.0.1", port), timeout=10)
            socks.append(sock)
            sock.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
            sock.recv(4096)
        yield
    finally:
        for sock in socks:
            sock.close()


def cost(tree: ProcessTree, load: Wrk, options: argparse.Namespace, core: int | None) -> float:
    """The median of some rounds, after one that is not counted."""
    load(tree, 1.0, core)
    rounds = [load(tree, options.seconds, core) for _ in range(options.rounds)]
    return statistics.median(each.cpu_s * 1e6 / each.requests for each in rounds)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--server", default="supervisor-d", choices=list(SERVERS))
    parser.add_argument("--environment", type=Path)
    parser.add_argument("--results", type=Path, default=RESULTS, help="where what was measured is kept")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=2.0)
    options = parser.parse_args()
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(hard, 11_000)), hard))
    core = CPUS[-1] if len(CPUS) > 1 else None
    rows: list[tuple[str, float]] = []

    def tell(title: str, value: float) -> None:
        print(f"{title} ... {value:.2f} us", file=sys.stderr, flush=True)
        rows.append((title, value))

    with tempfile.TemporaryDirectory(prefix="bench-") as directory:
        place, python = Path(directory), python_of(options.environment)
        environment = Environment(python, place, forms(place, python))
        for number in (1, 10, 100, 1000, 10_000):
            with serving(options, environment, "hello") as tree, idle(tree.port, max(0, number - 64)):
                tell(f"{number:,} connections", cost(tree, Wrk(min(number, 64)), options, core))
        for number in (1, 10, 50, 90):
            fields = tuple(f"X-Field-{field}: value of field {field}" for field in range(number))
            with serving(options, environment, "hello") as tree:
                tell(f"{number} header fields", cost(tree, Wrk(headers=fields), options, core))
        for size in (0, 1024, 16_384, 262_144, 1_048_576):
            script = place / "post.lua"
            script.write_text(POST.format(size=size))
            with serving(options, environment, "swallow") as tree:
                tell(f"{size:,} bytes of body", cost(tree, Wrk(16, lua=str(script)), options, core))
        for workers in (1, 2, 4, 8):
            with serving(options, environment, "hello", workers) as tree:
                tell(f"{workers} workers, unpinned", cost(tree, Wrk(64), options, None))
    print("\n".join(growth(rows)))
    kept = json.loads(options.results.read_text()) if options.results.exists() else {}
    kept["growth"] = rows
    options.results.write_text(json.dumps(kept, indent=1) + "\n")


if __name__ == "__main__":
    main()
