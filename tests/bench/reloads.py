"""Reloads behind a front end under load: python -m tests.bench.reloads [--front nginx] [--upstream unix].

wrk asks without a pause, on kept-alive connections, while the daemon reloads so many times one after the other. Told
are the answers that were not 2xx, the connections that broke, the front end's error log, and how long the reloads took.
The exit code is 0 if nothing was lost and nothing was complained of. Needs wrk, and nginx, haproxy or caddy; the front
ends have the very configurations that `init` prints or contrib has.
"""

from __future__ import annotations

import argparse
import re
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.helpers.daemon import PID_APP, Daemon, running
from tests.helpers.fronts import FRONTS, fronted

LOAD_S = 600
"""Longer than it can take; wrk is ended by SIGINT, and then tells its figures."""


def measure(options: argparse.Namespace, place: Path) -> bool:
    """Prints what happened; True if nothing was lost."""
    (place / "app.py").write_text(PID_APP)
    bind = f"unix:{place}/app.sock" if options.upstream == "unix" else "127.0.0.1:0"
    flags = ("--workers", str(options.workers), "--forwarded-allow-ips", "127.0.0.1,unix")
    with running(*flags, directory=place, bind=bind) as daemon:
        daemon.heard.expect("worker.ready", times=options.workers)
        upstream = bind if options.upstream == "unix" else "{}:{}".format(*daemon.address())
        with fronted(options.front, place, upstream) as front:
            address = f"http://127.0.0.1:{front.port}/"
            load = subprocess.Popen(
                ["wrk", "-t1", f"-c{options.connections}", f"-d{LOAD_S}s", "--latency", address],
                stdout=subprocess.PIPE,
                text=True,
            )
            took_s, failed = reload_often(daemon, options.reloads)
            load.send_signal(signal.SIGINT)
            said = load.communicate()[0]
    requests, lost = read(said)
    complaints = front.complaints()
    print(said.rstrip())
    print(f"{options.front} over {options.upstream}, {options.workers} workers, {options.connections} connections")
    took = f"{statistics.median(took_s):.2f} s each, {max(took_s):.2f} s at most"
    print(f"reloads     {options.reloads}, {failed} failed; {took}")
    print(f"requests    {requests}, {lost} lost")
    print(f"error log   {len(complaints)} lines")
    print("\n".join(complaints[:20]), end="\n" if complaints else "")
    return not (failed or lost or complaints) and requests > 0


def reload_often(daemon: Daemon, times: int) -> tuple[list[float], int]:
    """How long each reload took, and how many failed."""
    took_s, failed = [], 0
    for _ in range(times):
        before = time.monotonic()
        failed += daemon.ctl("reload").returncode != 0
        took_s.append(time.monotonic() - before)
    return took_s, failed


def read(said: str) -> tuple[int, int]:
    """Requests that were answered, and those that were answered with an error or not at all, as wrk counts them."""
    requests = re.search(r"(\d+) requests in", said)
    wrong = re.search(r"Non-2xx or 3xx responses: (\d+)", said)
    broken = re.search(r"Socket errors: connect (\d+), read (\d+), write (\d+), timeout (\d+)", said)
    lost = int(wrong[1]) if wrong else 0
    return int(requests[1]) if requests else 0, lost + sum(map(int, broken.groups() if broken else ()))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--front", default="nginx", choices=sorted(FRONTS))
    parser.add_argument("--upstream", default="tcp", choices=("tcp", "unix"))
    parser.add_argument("--reloads", type=int, default=20)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--connections", type=int, default=32)
    options = parser.parse_args()
    if shutil.which("wrk") is None:
        print("wrk is not installed", file=sys.stderr)
        return 2
    with tempfile.TemporaryDirectory(prefix="reloads-") as place:
        Path(place).chmod(0o755)
        return 0 if measure(options, Path(place)) else 1


if __name__ == "__main__":
    sys.exit(main())
