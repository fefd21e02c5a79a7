"""Our server and others side by side: python -m tests.bench [--loads ...] [--servers ...] [--rounds N] [--seconds S].

Each round starts every server that can take part, one after the other, one worker each, pinned to one core; the loader
has another. Medians of the rounds are compared: CPU microseconds per request of the whole process
tree, because that hardly moves with a machine's noise; requests per second, latencies and memory besides. Servers whose
answers differ are not compared. What is measured is kept per load in a JSON file, so that a run can be made in pieces;
`--report` writes the page and the plot from it.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from pathlib import Path

from tests.bench import report
from tests.bench.forms import Environment, forms
from tests.bench.loads import LOADS, contestants
from tests.bench.machine import described
from tests.bench.process_tree import Failed
from tests.bench.race import race
from tests.bench.servers import SERVERS
from tests.bench.single_figures import FIGURES, measure
from tests.bench.venv import python_of

CPUS = sorted(os.sched_getaffinity(0))


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--loads", help=f"with commas, of: {', '.join([*LOADS, *FIGURES])}; all")
    parser.add_argument("--servers", help=f"with commas, of: {', '.join(SERVERS)}; all")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=2.0, help="of a round")
    parser.add_argument("--results", type=Path, default=report.RESULTS, help="where what was measured is kept")
    parser.add_argument("--environment", type=Path, help="the virtual environment of the peers, made if missing")
    parser.add_argument("--report", action="store_true", help="write contrib/docs/PERFORMANCE.md and its plot, too")
    parser.add_argument("--only-report", action="store_true", help="measure nothing")
    return parser.parse_args()


def chosen(text: str | None, known: list[str]) -> list[str]:
    names = [name.strip() for name in text.split(",")] if text else known
    unknown = sorted(set(names) - set(known))
    if unknown:
        raise SystemExit(f"unknown: {', '.join(unknown)}; there are {', '.join(known)}")
    return names


def keep(path: Path, kind: str, name: str, found: object, options: argparse.Namespace) -> None:
    """Merge one result into the file, with what it was measured on."""
    kept = json.loads(path.read_text()) if path.exists() else {}
    kept["machine"] = described(python_of(options.environment))
    kept.setdefault(kind, {})[name] = {"rounds": options.rounds, "seconds": options.seconds, "servers": found}
    path.write_text(json.dumps(kept, indent=1) + "\n")


def main() -> None:
    options = arguments()
    python = python_of(options.environment)
    names = chosen(options.servers, list(SERVERS))
    wanted = [] if options.only_report else chosen(options.loads, [*LOADS, *FIGURES])
    with tempfile.TemporaryDirectory(prefix="bench-") as directory:
        place = Path(directory)
        environment = Environment(python, place, forms(place, python) if wanted else {})
        os.environ["BENCH_FILE"] = str(place / "file.bin")
        (place / "file.bin").write_bytes(b"x" * 102_400)
        for name in wanted:
            print(f"{name} ...", file=sys.stderr, flush=True)
            if name in LOADS:
                load = LOADS[name]
                found = race(load, contestants(load, names), environment, options.rounds, options.seconds, CPUS)
                keep(options.results, "loads", name, found, options)
                print(report.row(name, load.title, found), flush=True)
            else:
                figures = single(name, names, environment, options)
                keep(options.results, "figures", name, figures, options)
                print(report.figure_row(name, figures), flush=True)
    if options.report or options.only_report:
        report.write(json.loads(options.results.read_text()), python)


def single(
    name: str, names: list[str], environment: Environment, options: argparse.Namespace
) -> dict[str, dict[str, object]]:
    """A figure of every server that has one, in alternating rounds."""
    figure = FIGURES[name]
    found: dict[str, dict[str, object]] = {}
    rounds = 1 if name == "idle" else options.rounds
    for _ in range(rounds):
        for server in names:
            contestant = SERVERS[server]
            if contestant.is_floor or "h11" in contestant.can or (figure.needs and figure.needs not in contestant.can):
                continue
            row = found.setdefault(server, {"values": []})
            if "error" in row:
                continue
            try:
                value = measure(figure, server, environment, CPUS)
                row["values"].append(value)  # type: ignore[attr-defined]  # a list, as made above
            except Failed as error:
                row["error"] = str(error)
    return found


if __name__ == "__main__":
    main()
