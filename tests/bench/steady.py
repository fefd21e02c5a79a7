"""Latency under a steady load of kept-alive connections, listeners shared and apart: python -m tests.bench.steady.

The daemon as it is, whose workers share its listener and accept fairly, against the same workers with a socket of
their own each, among which the kernel deals out connections by a hash (apart.py). Where one worker has got more
connections than another its clients wait longer, as long as they stay. Each round starts both anew, so that the hash
falls anew, too; the medians of all rounds are compared. Workers and wrk share the machine's cores, as they come.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from pathlib import Path

from tests.bench.forms import Environment, forms
from tests.bench.loaders import Round, Wrk
from tests.bench.process_tree import START_S, Failed, ProcessTree, free_port
from tests.bench.servers import SERVERS, Setup
from tests.bench.venv import python_of

APP = "tests.bench.apps:hello"
SHARED, APART = "shared", "apart"

Case = tuple[int, int]
"""How many workers, and how many connections."""


def until_ready(tree: ProcessTree, workers: int) -> None:
    """Failed if not all workers say so within half a minute."""
    until = time.monotonic() + START_S
    while tree.output.read_bytes().count(b"worker.ready") < workers:
        if time.monotonic() > until or not tree.is_alive():
            raise Failed(f"not ready: {tree.output.read_text(errors='replace')[-200:]}")
        time.sleep(0.02)


def turn(kind: str, workers: int, options: argparse.Namespace, environment: Environment) -> dict[int, Round]:
    """One start of one of the two, and a round for each number of connections."""
    port, server = free_port(), SERVERS[options.server]
    if kind == SHARED:
        command = server.command(Setup(environment.python, APP, port, workers=workers))
    else:
        command = [str(environment.python), "-m", "tests.bench.apart", APP, str(port), str(workers)]
    tree = ProcessTree(
        command, port, core=None, output=environment.place / "server.out", root=environment.roots[server.form]
    )
    try:
        until_ready(tree, workers)
        Wrk(64)(tree, 1.0, None)
        return {number: Wrk(number)(tree, options.seconds, None) for number in options.connections}
    finally:
        tree.end()


def told(rounds: list[Round]) -> tuple[float, float, float]:
    """Medians: p50 and p99 in milliseconds, and requests per second."""
    return (
        statistics.median(each.p50_ms or 0.0 for each in rounds),
        statistics.median(each.p99_ms or 0.0 for each in rounds),
        statistics.median(each.requests / each.seconds for each in rounds),
    )


def row(case: Case, shared: list[Round], apart: list[Round]) -> str:
    """A row of the report's table."""
    ours, theirs = told(shared), told(apart)
    cells = [f"{one:.2f} / {other:.2f}" for one, other in zip(ours[:2], theirs[:2], strict=True)]
    cells.append(f"{ours[1] / theirs[1]:.2f}")
    paired = [(one.p99_ms or 0.0) / (other.p99_ms or 1.0) for one, other in zip(shared, apart, strict=True)]
    cells.append(f"{sum(ratio <= 1 for ratio in paired)} of {len(paired)}")
    cells.append(f"{ours[2] / theirs[2]:.2f}")
    return f"| {case[0]} workers, {case[1]} connections | {' | '.join(cells)} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--server", default="supervisor-d", help="of servers.py: the form that is installed")
    parser.add_argument("--environment", type=Path, help="the virtual environment of the peers, made if missing")
    parser.add_argument("--workers", type=int, nargs="+", default=[2, 4])
    parser.add_argument("--connections", type=int, nargs="+", default=[64, 256])
    parser.add_argument("--rounds", type=int, default=11)
    parser.add_argument("--seconds", type=float, default=2.0)
    options = parser.parse_args()
    found: dict[tuple[Case, str], list[Round]] = {}
    with tempfile.TemporaryDirectory(prefix="bench-") as directory:
        place, python = Path(directory), python_of(options.environment)
        environment = Environment(python, place, forms(place, python))
        for number in range(options.rounds):
            for workers in options.workers:
                for kind in (SHARED, APART) if number % 2 else (APART, SHARED):
                    for connections, each in turn(kind, workers, options, environment).items():
                        found.setdefault(((workers, connections), kind), []).append(each)
            print(f"round {number + 1} of {options.rounds}", file=sys.stderr, flush=True)
    print("| shared / apart | p50, ms | p99, ms | p99, ratio | p99 no worse | requests per second, ratio |")
    print("|---|---|---|---|---|---|")
    for case in [(workers, connections) for workers in options.workers for connections in options.connections]:
        print(row(case, found[case, SHARED], found[case, APART]))


if __name__ == "__main__":
    main()
