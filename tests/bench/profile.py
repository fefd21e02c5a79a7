"""Where a worker's CPU time goes, by part: python -m tests.bench.profile [--load hello] [--server supervisor-d].

perf(1) samples the server's worker while a load runs, and each sample counts for the file that the code is in: the
kernel, the interpreter, uvloop, OpenSSL, our compiled modules. With the load's cost that makes microseconds.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import tempfile
import threading
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Final

from tests.bench.forms import Environment, forms
from tests.bench.loads import LOADS
from tests.bench.process_tree import ROOT, Failed, ProcessTree, free_port
from tests.bench.servers import SERVERS, Setup
from tests.bench.venv import python_of
from tests.helpers.certificates import Authority

CPUS: Final = sorted(os.sched_getaffinity(0))
RATE_HZ: Final = 1999

COMPILED: Final = "|".join(sorted(path.stem for path in (ROOT / "server_core").rglob("*.pxd")))

PARTS: Final = (
    (r"kernel|vdso", "kernel"),
    (r"libpython|^python", "interpreter"),
    (r"^loop\.", "uvloop"),
    (r"libssl|libcrypto", "OpenSSL"),
    (r"^parser\.", "httptools"),
    (r"^_(asyncio|ssl|socket)\.", "asyncio, ssl and socket in C"),
    (rf"^({COMPILED})\.", "our compiled modules"),
)
"""What a file belongs to: the first pattern that is found in its name."""


def part_of(file: str) -> str:
    return next((part for pattern, part in PARTS if re.search(pattern, file)), "others")


def sampled(pid: int, seconds: float, place: Path) -> Counter[str]:
    """Samples by part."""
    data = place / "perf.data"
    record = ["perf", "record", "-q", "-o", str(data), "-p", str(pid), "-F", str(RATE_HZ), "--", "sleep", str(seconds)]
    subprocess.run(record, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    said = subprocess.run(
        ["perf", "report", "-i", str(data), "--sort", "dso", "-F", "sample,dso", "--stdio"],
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    found: Counter[str] = Counter()
    for count, file in re.findall(r"^\s*(\d+)\s+(\S+)", said, re.MULTILINE):
        found[part_of(file.strip("[]"))] += int(count)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--load", default="hello", choices=[name for name in LOADS if LOADS[name].workers == 1])
    parser.add_argument("--server", default="supervisor-d", choices=list(SERVERS))
    parser.add_argument("--seconds", type=float, default=4.0)
    parser.add_argument("--environment", type=Path)
    options = parser.parse_args()
    load, python = LOADS[options.load], python_of(options.environment)
    with tempfile.TemporaryDirectory(prefix="bench-") as directory:
        place = Path(directory)
        environment = Environment(python, place, forms(place, python))
        setup = Setup(python, load.app, free_port())
        if load.needs == "tls":
            pair = Authority(place).pair("localhost")
            setup = replace(setup, certificate=Path(pair.certificate), key=Path(pair.key))
        server = SERVERS[options.server]
        root = environment.roots[server.form]
        tree = ProcessTree(server.command(setup), setup.port, core=CPUS[0], output=place / "out", root=root)
        found: Counter[str] = Counter()
        try:
            tree.wait_until_listening()
            load.loader(tree, 0.5, CPUS[-1])
            worker = tree.pids()[-1]
            sampler = threading.Thread(target=lambda: found.update(sampled(worker, options.seconds - 1, place)))
            sampler.start()
            done = load.loader(tree, options.seconds, CPUS[-1])
            sampler.join()
        except Failed as error:
            raise SystemExit(f"{options.server}: {error}") from error
        finally:
            tree.end()
    cost, samples = done.cpu_s * 1e6 / done.requests, sum(found.values())
    print(f"{load.title}, {options.server}: {cost:.1f} us of CPU each, of which {samples} samples fell into")
    for part, count in found.most_common():
        print(f"  {part:32} {count / samples:6.1%} {cost * count / samples:8.2f} us")


if __name__ == "__main__":
    main()
