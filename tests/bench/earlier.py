"""This tree beside an earlier commit of its own: python -m tests.bench.earlier COMMIT [--loads ...] [--figures ...].

Alternating rounds, each with a server started anew, pinned to one core. What is compared is CPU microseconds per
request of the whole process tree, or a figure that is no rate (single_figures.py). A ratio above 1 says that this tree
is dearer. The median of the ratios counts: one start differs from the next by up to 15 % (race.py), so that it takes a
dozen rounds to tell 2 %.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Final

from tests.bench.forms import INSTALLED, PLAIN, Environment, forms
from tests.bench.loads import LOADS
from tests.bench.process_tree import ROOT
from tests.bench.race import race
from tests.bench.single_figures import FIGURES, measure
from tests.bench.venv import python_of

SERVER_OF: Final = {INSTALLED: "supervisor-d", PLAIN: "supervisor-d plain"}
DEFAULT_LOADS: Final = "hello,browser,post-1k,starlette,ws-64,new-connection,tls,chunked"


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.earlier")
    parser.add_argument("commit", help="what this tree is compared with; anything that git takes as one")
    parser.add_argument("--loads", default=DEFAULT_LOADS, help=f"with commas, of: {', '.join(LOADS)}")
    parser.add_argument("--figures", default="", help=f"with commas, of: {', '.join(FIGURES)}")
    parser.add_argument("--form", default=INSTALLED, choices=tuple(SERVER_OF), help="of both trees")
    parser.add_argument("--rounds", type=int, default=12)
    parser.add_argument("--seconds", type=float, default=1.0, help="of a round")
    parser.add_argument("--environment", type=Path, help="the virtual environment, made if missing")
    options = parser.parse_args()
    if unknown := set(names(options.loads)) - set(LOADS):
        parser.error(f"--loads: unknown: {', '.join(sorted(unknown))}; there are {', '.join(LOADS)}")
    if unknown := set(names(options.figures)) - set(FIGURES):
        parser.error(f"--figures: unknown: {', '.join(sorted(unknown))}; there are {', '.join(FIGURES)}")
    return options


def names(given: str) -> list[str]:
    return [name for name in given.split(",") if name]


def packages_of(commit: str, place: Path) -> Path:
    """A directory with what git keeps of a commit."""
    place.mkdir()
    archived = subprocess.run(["git", "archive", commit], check=True, capture_output=True, cwd=ROOT)
    subprocess.run(["tar", "-x"], input=archived.stdout, check=True, cwd=place)
    return place


Measure = Callable[[Environment], float]


def cost(load: str, form: str, seconds: float) -> Measure:
    """CPU microseconds per request in a round of a load."""
    cpus = sorted(os.sched_getaffinity(0))

    def measured(tree: Environment) -> float:
        row = race(LOADS[load], [SERVER_OF[form]], tree, 1, seconds, cpus)[SERVER_OF[form]]
        if "error" in row:
            raise SystemExit(f"{load}: {row['error']}")
        done = row["rounds"][0]  # type: ignore[index]  # a list, see race()
        return float(done["cpu_s"] * 1e6 / done["requests"])

    return measured


def figure(name: str, form: str) -> Measure:
    cpus = sorted(os.sched_getaffinity(0))
    return lambda tree: measure(FIGURES[name], SERVER_OF[form], tree, cpus)


def compare(title: str, measured: Measure, trees: dict[str, Environment], rounds: int) -> None:
    """Print one row: the median of each tree, and the quartiles of the ratios."""
    found: dict[str, list[float]] = {name: [] for name in trees}
    for number in range(rounds):
        # Whichever comes second finds the machine warmer, so they take turns at that, too.
        for name in sorted(trees, reverse=bool(number % 2)):
            found[name].append(measured(trees[name]))
    ratios = [now / earlier for earlier, now in zip(found["earlier"], found["now"], strict=True)]
    low, middle, high = statistics.quantiles(ratios, n=4) if len(ratios) > 1 else ratios * 3
    earlier, now = (statistics.median(found[name]) for name in ("earlier", "now"))
    print(f"{title:16} {earlier:9.3g} {now:9.3g}  {middle:.3f} ({low:.2f} to {high:.2f})", flush=True)


def main() -> None:
    options = arguments()
    python = python_of(options.environment)
    with tempfile.TemporaryDirectory(prefix="bench-") as directory:
        place = Path(directory)
        os.environ["BENCH_FILE"] = str(place / "file.bin")
        (place / "file.bin").write_bytes(b"x" * 102_400)
        sources = {"earlier": packages_of(options.commit, place / "source"), "now": ROOT}
        trees = {}
        for name, source in sources.items():
            (place / name).mkdir()
            trees[name] = Environment(python, place / name, forms(place / name, python, source))
        print(
            f"{'load':16} {'earlier':>9} {'now':>9}  ratio (quartiles), us of CPU per request, {options.form}",
            flush=True,
        )
        for load in names(options.loads):
            compare(load, cost(load, options.form, options.seconds), trees, options.rounds)
        for name in names(options.figures):
            compare(f"{name}, {FIGURES[name].unit}", figure(name, options.form), trees, options.rounds)


if __name__ == "__main__":
    main()
