"""This tree beside an earlier commit of its own: python -m tests.bench.earlier COMMIT [--loads ...] [--form ...].

Alternating rounds, each with a server started anew, pinned to one core. What is compared is CPU microseconds per
request of the whole process tree. A ratio above 1 says that this tree is dearer. The median of the ratios counts: one
start differs from the next by up to 15 % (race.py), so that it takes a dozen rounds to tell 2 %.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import tempfile
from pathlib import Path
from typing import Final

from tests.bench.forms import INSTALLED, PLAIN, Environment, forms
from tests.bench.loads import LOADS
from tests.bench.process_tree import ROOT
from tests.bench.race import race
from tests.bench.venv import python_of

SERVER_OF: Final = {INSTALLED: "supervisor-d", PLAIN: "supervisor-d plain"}
DEFAULT_LOADS: Final = "hello,browser,post-1k,starlette,ws-64,new-connection,tls,chunked"


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.earlier")
    parser.add_argument("commit", help="what this tree is compared with; anything that git takes as one")
    parser.add_argument("--loads", default=DEFAULT_LOADS, help=f"with commas, of: {', '.join(LOADS)}")
    parser.add_argument("--form", default=INSTALLED, choices=tuple(SERVER_OF), help="of both trees")
    parser.add_argument("--rounds", type=int, default=12)
    parser.add_argument("--seconds", type=float, default=1.0, help="of a round")
    parser.add_argument("--environment", type=Path, help="the virtual environment, made if missing")
    options = parser.parse_args()
    if unknown := set(options.loads.split(",")) - set(LOADS):
        parser.error(f"--loads: unknown: {', '.join(sorted(unknown))}; there are {', '.join(LOADS)}")
    return options


def packages_of(commit: str, place: Path) -> Path:
    """A directory with what git keeps of a commit."""
    place.mkdir()
    archived = subprocess.run(["git", "archive", commit], check=True, capture_output=True, cwd=ROOT)
    subprocess.run(["tar", "-x"], input=archived.stdout, check=True, cwd=place)
    return place


def costs(load: str, form: str, trees: dict[str, Environment], options: argparse.Namespace) -> dict[str, list[float]]:
    """{tree: CPU microseconds per request in each round}."""
    found: dict[str, list[float]] = {name: [] for name in trees}
    cpus = sorted(os.sched_getaffinity(0))
    for number in range(options.rounds):
        # Whichever comes second finds the machine warmer, so they take turns at that, too.
        for name in sorted(trees, reverse=bool(number % 2)):
            row = race(LOADS[load], [SERVER_OF[form]], trees[name], 1, options.seconds, cpus)[SERVER_OF[form]]
            if "error" in row:
                raise SystemExit(f"{load}, {name}: {row['error']}")
            done = row["rounds"][0]  # type: ignore[index]  # a list, see race()
            found[name].append(done["cpu_s"] * 1e6 / done["requests"])
    return found


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
        for load in options.loads.split(","):
            found = costs(load, options.form, trees, options)
            ratios = [now / earlier for earlier, now in zip(found["earlier"], found["now"], strict=True)]
            low, middle, high = statistics.quantiles(ratios, n=4) if len(ratios) > 1 else ratios * 3
            earlier, now = (statistics.median(found[name]) for name in ("earlier", "now"))
            print(f"{load:16} {earlier:9.2f} {now:9.2f}  {middle:.3f} ({low:.2f} to {high:.2f})", flush=True)


if __name__ == "__main__":
    main()
