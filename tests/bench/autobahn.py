"""Autobahn's fuzzing client against us and the peers: python -m tests.bench.autobahn --wstest PROGRAM.

PROGRAM is wstest of autobahntestsuite 25.10.1, which needs CPython 2.7 (see contrib/docs/WEBSOCKET.md). With --peers,
the directory of their programs (the bin of a virtual environment), those are tested, too: one server after another, at
its default settings; all 517 cases, or those given with --case. A table is printed; how far it is and what was not OK
go to stderr.

wstest writes its report at its very end. So the cases go to it in groups: a server that is too slow for --seconds keeps
the verdicts of the groups that it came through, and the row says how many cases those are.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from tests.bench.hello import start
from tests.bench.process_tree import free_port
from tests.bench.websocket_servers import SERVERS, command

APP = "tests.bench.apps:websocket_mirror"

PASSED, STRICTLESS, INFORMATIONAL, NOT_OFFERED = "OK", "NON-STRICT", "INFORMATIONAL", "UNIMPLEMENTED"
NOT_FAILED = (PASSED, NOT_OFFERED, INFORMATIONAL, STRICTLESS)
"""From the best to the worst; all others are failures."""

Verdicts = dict[str, str]

FRAMING = tuple(f"{section}.*" for section in (1, 2, 3, 4, 5, 6, 7, 10))
LARGE = tuple(f"9.{part}.*" for part in range(1, 9))
DEFLATE = tuple(f"{section}.{part}.*" for section, parts in ((12, 5), (13, 7)) for part in range(1, parts + 1))


def fuzz(wstest: str, name: str, port: int, options: argparse.Namespace) -> Verdicts:
    """The verdicts of one server, group by group, as far as its time goes."""
    verdicts: Verdicts = {}
    began = time.monotonic()
    for cases in options.case or (*FRAMING, *LARGE, *DEFLATE):
        left = options.seconds - (time.monotonic() - began)
        with tempfile.TemporaryDirectory(prefix="autobahn-") as place:
            found = group(wstest, name, port, cases, left, Path(place)) if left > 0 else {}
        told = f"{len(found)} cases" if found else "not run"
        print(f"  {name} {cases} {told}, {time.monotonic() - began:.0f} s", file=sys.stderr, flush=True)
        verdicts |= found
    return verdicts


def group(wstest: str, name: str, port: int, cases: str, seconds: float, place: Path) -> Verdicts:
    """The verdict on each case: of the two that Autobahn gives, on what was said and on how it ended, the worse."""
    specification = {
        "outdir": str(place / "reports"),
        "servers": [{"agent": name, "url": f"ws://127.0.0.1:{port}/ws"}],
        "cases": [cases],
        "exclude-cases": [],
        "exclude-agent-cases": {},
    }
    (place / "fuzzingclient.json").write_text(json.dumps(specification))
    with (place / "said").open("w") as said:
        client = subprocess.Popen(
            [wstest, "-m", "fuzzingclient", "-s", "fuzzingclient.json"], cwd=place, stdout=said, stderr=said
        )
        try:
            client.wait(seconds)
        except subprocess.TimeoutExpired:
            client.kill()
            client.wait()
    index = place / "reports" / "index.json"
    if not index.exists():
        print(f"{name}: no report in {seconds:g} s: {(place / 'said').read_text()[-1000:]}", file=sys.stderr)
        return {}
    reported: dict[str, dict[str, str]] = json.loads(index.read_text()).get(name, {})
    return {case: worse(verdict["behavior"], verdict["behaviorClose"]) for case, verdict in reported.items()}


def worse(said: str, ended: str) -> str:
    return max(said, ended, key=lambda verdict: NOT_FAILED.index(verdict) if verdict in NOT_FAILED else len(NOT_FAILED))


def row(name: str, verdicts: Verdicts) -> str:
    counts = Counter(verdicts.values())
    failed = sorted((case for case, verdict in verdicts.items() if verdict not in NOT_FAILED), key=numbers)
    columns = [len(verdicts), *(counts[verdict] for verdict in (PASSED, INFORMATIONAL, STRICTLESS, NOT_OFFERED))]
    return f"| {' | '.join(map(str, (name, *columns, len(failed), sections(failed))))} |"


def sections(cases: Sequence[str]) -> str:
    """How many of these are in which section."""
    return ", ".join(f"{section}.*: {count}" for section, count in Counter(c.split(".")[0] for c in cases).items())


def numbers(case: str) -> list[int]:
    return [int(part) for part in case.split(".")]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--wstest", required=True, help="the program, of autobahntestsuite 25.10.1")
    parser.add_argument("--peers", help="directory of the peers' programs; without it only we are tested")
    parser.add_argument("--server", action="append", choices=list(SERVERS), help="only this one; may be repeated")
    parser.add_argument("--case", action="append", help="a group such as 6.* ; may be repeated; default: all")
    parser.add_argument("--seconds", type=float, default=1800.0, help="at most, for each server (%(default)s)")
    options = parser.parse_args()
    columns = ("server", "cases", "passed", "informational", "non-strict", "not offered", "failed", "where")
    print(f"| {' | '.join(columns)} |\n{'|---' * len(columns)}|", flush=True)
    for name in options.server or SERVERS:
        if name != "supervisor-d" and not options.peers:
            continue
        port = free_port()
        server = start(command(name, APP, port, options.peers), port, max(os.sched_getaffinity(0)))
        try:
            verdicts = fuzz(options.wstest, name, port, options)
        finally:
            server.terminate()
            server.wait()
        print(row(name, verdicts), flush=True)
        for case in sorted(verdicts, key=numbers):
            if verdicts[case] not in (PASSED, INFORMATIONAL, NOT_OFFERED):
                print(f"  {name} {case} {verdicts[case]}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
