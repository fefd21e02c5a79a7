"""How far above max-memory a worker that grows gets: python -m tests.bench.overshoot [--rate MIB] [--limit MIB].

One worker after the other grows by so much a second and is replaced. Told is its size (PSS) when the daemon finds it
above the limit, and when its lifespan ends: until its successor serves it goes on growing.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
from pathlib import Path
from typing import Final

from tests.helpers.daemon import REPOSITORY, running

MIB: Final = 2**20


def found_and_last(rate: int, limit: int, rounds: int) -> tuple[list[float], list[float]]:
    """The sizes in MiB when found, and at the end, of so many workers."""
    env = {"MIB_A_SECOND": str(rate), "MIB_AT_MOST": str(100 * limit)}
    flags = ("--workers", "1", "--max-memory", f"{limit}M", "--app-dir", str(REPOSITORY / "tests" / "apps"))
    with tempfile.TemporaryDirectory() as directory:
        with running(*flags, app="growing:app", directory=Path(directory), env=env) as daemon:
            told = []
            for count in range(1, rounds + 1):
                told = daemon.heard.expect("worker.recycled", times=count)
                daemon.heard.expect("worker.exited", times=count)
        found = [int(str(event["reason"]).rpartition(" ")[2]) / MIB for event in told]
        ended = [int(Path(directory, f"{event['pid']}.bytes").read_text()) / MIB for event in told]
    return found, ended


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.overshoot", description=__doc__)
    parser.add_argument("--rate", type=int, default=40, help="MiB a second (%(default)s)")
    parser.add_argument("--limit", type=int, default=120, help="max-memory in MiB (%(default)s)")
    parser.add_argument("--rounds", type=int, default=5, help="workers (%(default)s)")
    options = parser.parse_args()
    for name, sizes in zip(
        ("found at", "ended at"), found_and_last(options.rate, options.limit, options.rounds), strict=True
    ):
        print(
            f"limit {options.limit} MiB, {options.rate} MiB a second: {name} {statistics.median(sizes):.0f} MiB"
            f" (median of {len(sizes)}), {max(sizes):.0f} at most"
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
