"""Autobahn's fuzzing client against us and the peers: python -m tests.bench.autobahn --wstest PROGRAM.

PROGRAM is wstest of autobahntestsuite 25.10.1, which needs CPython 2.7 (see contrib/docs/WEBSOCKET.md). With --peers,
the directory of their programs (the bin of a virtual environment), those are tested, too: one server after another, at
its default settings; all 517 cases, or those given. A table is printed; what was not OK goes to stderr.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path

from tests.bench.hello import free_port, start
from tests.bench.websocket_servers import SERVERS, command

APP = "tests.bench.apps:websocket_mirror"

PASSED, STRICTLESS, INFORMATIONAL = "OK", "NON-STRICT", "INFORMATIONAL"
Verdicts = dict[str, str]


def fuzz(wstest: str, name: str, port: int, cases: list[str], seconds: float, place: Path) -> Verdicts:
    """The verdict on each case: of the two that Autobahn gives, on what was said and on how it ended, the worse."""
    specification = {
        "outdir": str(place / "reports"),
        "servers": [{"agent": name, "url": f"ws://127.0.0.1:{port}/ws"}],
        "cases": cases,
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
        print(
            f"{name}: no report in {seconds:g} s: {(place / 'said').read_text()[-1000:]}", file=sys.stderr, flush=True
        )
        return {}
    reported: dict[str, dict[str, str]] = json.loads(index.read_text()).get(name, {})
    return {case: worse(verdict["behavior"], verdict["behaviorClose"]) for case, verdict in reported.items()}


def worse(said: str, ended: str) -> str:
    ranks = (PASSED, INFORMATIONAL, STRICTLESS)
    return max(said, ended, key=lambda verdict: ranks.index(verdict) if verdict in ranks else len(ranks))


def row(name: str, verdicts: Verdicts) -> str:
    counts = Counter(verdicts.values())
    failed = sorted(
        (case for case, verdict in verdicts.items() if verdict not in (PASSED, STRICTLESS, INFORMATIONAL)), key=numbers
    )
    sections = Counter(case.split(".")[0] for case in failed)
    where = ", ".join(f"{section}.*: {count}" for section, count in sections.items())
    cells = (name, counts[PASSED], counts[INFORMATIONAL], counts[STRICTLESS], len(failed), where, len(verdicts))
    return f"| {' | '.join(map(str, cells))} |"


def numbers(case: str) -> list[int]:
    return [int(part) for part in case.split(".")]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--wstest", required=True, help="the program, of autobahntestsuite 25.10.1")
    parser.add_argument("--peers", help="directory of the peers' programs; without it only we are tested")
    parser.add_argument("--server", action="append", choices=list(SERVERS), help="only this one; may be repeated")
    parser.add_argument("--case", action="append", help="such as 6.* ; may be repeated; default: all")
    parser.add_argument("--seconds", type=float, default=1800.0, help="at most, for each server (%(default)s)")
    options = parser.parse_args()
    print("| server | passed | informational | non-strict | failed | where | cases |\n|---|---|---|---|---|---|---|")
    for name in options.server or SERVERS:
        if name != "supervisor-d" and not options.peers:
            continue
        port = free_port()
        with tempfile.TemporaryDirectory(prefix="autobahn-") as place:
            server = start(command(name, APP, port, options.peers), port, max(os.sched_getaffinity(0)))
            try:
                verdicts = fuzz(options.wstest, name, port, options.case or ["*"], options.seconds, Path(place))
            finally:
                server.terminate()
                server.wait()
        print(row(name, verdicts), flush=True)
        for case in sorted(verdicts, key=numbers):
            if verdicts[case] not in (PASSED, INFORMATIONAL):
                print(f"  {name} {case} {verdicts[case]}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
