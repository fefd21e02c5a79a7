"""python -m tests.stops: stops by signals to the process group, and stops with clients that would stay for ever.

`group` ends a daemon so often by TERM, and so often by INT, to its whole process group: 1, 2 and 4 workers, forked from
a template, preloaded and started each by itself, on both loops. It exits with 1 if a request was lost or a worker died.
`wsgi` reloads Flask, Django, Bottle and Pyramid, as far as they are installed, under clients that ask without a pause;
a worker is recycled each 500 requests. It exits with 1 if a request was lost.
`clients` prints the seconds from TERM to exit with a client of each kind connected, beside uvicorn. All on 127.0.0.1.
"""

from __future__ import annotations

import argparse
import os
import platform
import signal
import sys
import tempfile
from pathlib import Path

from tests.stops import wsgi
from tests.stops.clients import table
from tests.stops.environment import prepare
from tests.stops.group import cases, stop


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.stops", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    group = commands.add_parser("group", help="stops by signals to the process group")
    group.add_argument("--stops", type=int, default=40, help="by each signal (%(default)s)")
    frameworks = commands.add_parser("wsgi", help="reloads and recycling of WSGI frameworks under load")
    frameworks.add_argument("--reloads", type=int, default=20, help="of each framework and way (%(default)s)")
    clients = commands.add_parser("clients", help="stops with clients connected, beside uvicorn")
    clients.add_argument("--environment", type=Path, help="virtual environment of the applications; made if not there")
    clients.add_argument("--only", default="", help="kinds whose name holds this")
    return parser.parse_args()


def group(stops: int) -> int:
    """Prints a line for each bad stop, and the sums."""
    in_flight = lost = crashes = wrong = 0
    for number in (signal.SIGTERM, signal.SIGINT):
        for case in cases(number, stops):
            with tempfile.TemporaryDirectory() as directory:
                outcome = stop(case, Path(directory))
            in_flight += outcome.in_flight
            lost += outcome.lost
            crashes += outcome.crashes
            wrong += outcome.exit_code != 0
            if outcome.lost or outcome.crashes or outcome.exit_code:
                print(f"{case}: {outcome}", flush=True)
    print(
        f"CPython {platform.python_version()}: {stops} stops by TERM, {stops} by INT, {in_flight} requests in flight:"
        f" lost {lost}, crashes {crashes}, exit codes other than 0: {wrong}"
    )
    return 1 if lost or crashes or wrong else 0


def reloads(count: int) -> int:
    """Prints a line for each framework and way."""
    lost = 0
    for name, seen in wsgi.table(count):
        print(
            f"{name:30} {count} reloads, {seen.asked} requests, lost {len(seen.lost)} {seen.lost[:3] or ''}", flush=True
        )
        lost += len(seen.lost)
    return 1 if lost else 0


def main() -> int:
    options = arguments()
    if options.command == "wsgi":
        return reloads(options.reloads)
    if options.command == "group":
        return group(options.stops)
    cache = Path(os.environ.get("XDG_CACHE_HOME") or tempfile.gettempdir())
    python = prepare(options.environment or cache / f"supervisor-d-stops-{platform.python_version()}")
    for line in table(python, options.only):
        print(line, flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
