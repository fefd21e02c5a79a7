"""python -m tests.chaos: load a daemon, do to it what production does, and report; exit 1 if a promise was not kept.

Everything runs on 127.0.0.1; every process that is started here is ended here. See contrib/docs/CHAOS.md.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import sys
import tempfile
from pathlib import Path

from tests.chaos.daemon import ActionFailed
from tests.chaos.peers import side_by_side
from tests.chaos.report import as_json, as_markdown
from tests.chaos.scenarios import LONG_FORM, SCENARIOS
from tests.chaos.staging import Claim, Plan, Result
from tests.chaos.tally import Tally


def arguments() -> argparse.Namespace:
    plan = Plan()
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument(
        "--scenario",
        action="append",
        choices=[*SCENARIOS, "peers"],
        help=f"may be given several times; default: {', '.join(LONG_FORM)}",
    )
    parser.add_argument("--requests", type=int, default=plan.requests, help="requests of reload-storm (%(default)s)")
    parser.add_argument("--reloads", type=int, default=plan.reloads, help="reloads of reload-storm (%(default)s)")
    parser.add_argument(
        "--quiet", type=float, default=plan.quiet_s, help="seconds before the first action (%(default)s)"
    )
    parser.add_argument("--loop", default=plan.loop, choices=["auto", "asyncio", "uvloop"])
    parser.add_argument("--http", default=plan.http, choices=["auto", "httptools", "h11"])
    parser.add_argument("--startup", type=float, default=plan.startup_s, help="start-up in slow-start (%(default)s s)")
    parser.add_argument(
        "--slow-reloads", type=int, default=plan.slow_reloads, help="reloads of slow-start (%(default)s)"
    )
    parser.add_argument(
        "--recycled", type=int, default=plan.recycled_requests, help="requests of recycle (%(default)s)"
    )
    parser.add_argument("--stream", type=float, default=plan.stream_s, help="length in long-stream (%(default)s s)")
    parser.add_argument("--stops", type=int, default=plan.stops, help="daemons stopped in stops (%(default)s)")
    parser.add_argument("--soak", type=float, default=plan.soak_s, help="shortest length of soak (%(default)s s)")
    parser.add_argument("--soak-reloads", type=int, default=plan.soak_reloads, help="reloads of soak (%(default)s)")
    parser.add_argument("--soak-crashes", type=int, default=plan.soak_crashes, help="crashes of soak (%(default)s)")
    parser.add_argument("--peers", action="store_true", help="the same as --scenario peers")
    parser.add_argument("--peers-time", type=float, default=60.0, help="seconds of HUPs for each peer (%(default)s)")
    parser.add_argument("--peers-environment", type=Path, help="virtual environment of the peers; made if not there")
    parser.add_argument("--report", type=Path, help="directory for report.md and report.json; a new one by default")
    return parser.parse_args()


async def run(options: argparse.Namespace, plan: Plan) -> list[Result]:
    names = [*(options.scenario or ()), *(["peers"] if options.peers else ())] or list(LONG_FORM)
    results: list[Result] = []
    for name in names:
        print(f"{name} ...", file=sys.stderr, flush=True)
        if name == "peers":
            results += await side_by_side(options.peers_environment, options.peers_time)
        else:
            results += await attempt(name, plan)
    return results


async def attempt(name: str, plan: Plan) -> list[Result]:
    """A scenario that could not be played to its end is one whose promise was not kept; the others follow."""
    try:
        return await SCENARIOS[name](plan)
    except ActionFailed as failure:
        return [Result(name, (), Tally(), [], 0.0, [Claim("it is played to its end", False, str(failure))])]


def main() -> int:
    options = arguments()
    plan = Plan(
        requests=options.requests,
        reloads=options.reloads,
        loop=options.loop,
        http=options.http,
        quiet_s=options.quiet,
        startup_s=options.startup,
        stream_s=options.stream,
        slow_reloads=options.slow_reloads,
        recycled_requests=options.recycled,
        stops=options.stops,
        soak_s=options.soak,
        soak_reloads=options.soak_reloads,
        soak_crashes=options.soak_crashes,
    )
    gc.freeze()  # collections stay small: a long one would be booked as a stall of the server's
    results = asyncio.run(run(options, plan))
    directory = options.report or Path(tempfile.mkdtemp(prefix="chaos-report-"))
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "report.md").write_text(as_markdown(results))
    (directory / "report.json").write_text(as_json(results))
    print(as_markdown(results))
    print(f"saved in {directory}", file=sys.stderr)
    return 0 if all(result.passed for result in results) else 1


if __name__ == "__main__":
    sys.exit(main())
