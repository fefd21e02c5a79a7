"""Requests beside a thread that computes: python -m tests.bench.computing.

The interpreter runs one thread at a time, and one that computes gives it up after 5 ms (sys.setswitchinterval()). A
server whose system calls give it up too waits for it that long after each. One worker, unpinned: where both threads
have one CPU to share, the one that has given the interpreter up mostly has it back before the other has woken.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
from pathlib import Path

from tests.bench.forms import Environment, forms
from tests.bench.loaders import Round, Wrk
from tests.bench.process_tree import Failed, ProcessTree, free_port
from tests.bench.servers import SERVERS, Setup
from tests.bench.venv import python_of

APP = "tests.bench.computing_app:hello"
LOADS = {"kept alive": Wrk(16), "a new connection each": Wrk(16, headers=("Connection: close",))}
COMPARED = "supervisor-d,supervisor-d plain,uvicorn,granian,gunicorn"


def turn(name: str, load: Wrk, seconds: float, environment: Environment) -> Round:
    """One start of one server, and its round."""
    port, server = free_port(), SERVERS[name]
    tree = ProcessTree(
        server.command(Setup(environment.python, APP, port)),
        port,
        core=None,
        output=environment.place / "server.out",
        root=environment.roots[server.form],
    )
    try:
        tree.wait_until_listening()
        load(tree, 1.0, None)
        return load(tree, seconds, None)
    finally:
        tree.end()


def cell(rounds: list[Round]) -> str:
    """Medians of what a server did; that it failed if it never got through."""
    if not rounds:
        return "failed"
    rate = statistics.median(each.requests / each.seconds for each in rounds)
    return f"{rate:,.0f} / {statistics.median(each.p99_ms or 0.0 for each in rounds):.0f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--servers", default=COMPARED, help="with commas, of servers.py")
    parser.add_argument("--environment", type=Path, help="the virtual environment of the peers, made if missing")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=2.0)
    options = parser.parse_args()
    names = options.servers.split(",")
    found: dict[tuple[str, str], list[Round]] = {(load, name): [] for load in LOADS for name in names}
    with tempfile.TemporaryDirectory(prefix="bench-") as directory:
        place, python = Path(directory), python_of(options.environment)
        environment = Environment(python, place, forms(place, python))
        for _ in range(options.rounds):
            for load, name in found:
                try:
                    found[load, name].append(turn(name, LOADS[load], options.seconds, environment))
                except Failed as error:
                    print(f"{load}, {name}: {error}")
    print(f"| requests per second / p99, ms | {' | '.join(names)} |")
    print("|---" * (len(names) + 1) + "|")
    for load in LOADS:
        print(f"| {load} | {' | '.join(cell(found[load, name]) for name in names)} |")


if __name__ == "__main__":
    main()
