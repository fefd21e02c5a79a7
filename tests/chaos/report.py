"""Results -> what a person reads (Markdown) and what a program reads (JSON); pure."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict

from tests.chaos.staging import Result
from tests.chaos.tally import Spread, Tally


def as_markdown(results: Sequence[Result]) -> str:
    return "\n\n".join([overview(results), *map(details, results)]) + "\n"


def overview(results: Iterable[Result]) -> str:
    rows = [
        "| scenario | requests | lost | counted apart | p99.9 quiet | longest quiet | p99.9 meanwhile "
        "| longest meanwhile | processes | seconds | promises |",
        "|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    for result in results:
        tally = result.tally
        quiet, acting = tally.spread(quiet=True), tally.spread(quiet=False)
        cells = (
            result.name,
            f"{tally.requests:,}",
            str(len(tally.lost)),
            str(len(tally.unsavable)),
            *map(milliseconds, (quiet.p999, quiet.maximum, acting.p999, acting.maximum)),
            str(len(tally.pids)),
            f"{result.duration_s:.0f}",
            ("kept" if result.passed else "NOT KEPT") if result.claims else "-",
        )
        rows.append(f"| {' | '.join(cells)} |")
    rows += [
        "",
        "Lost is a request without its whole, right answer. Counted apart: in flight in a process that was killed.",
    ]
    return "\n".join(rows)


def details(result: Result) -> str:
    tally = result.tally
    parts = [f"## {result.name}", f"`{' '.join(result.options)}`"]
    parts.append("\n".join(f"- {'kept' if c.met else 'NOT KEPT'}: {c.text}: {c.measured}" for c in result.claims))
    if tally.requests:
        parts.append("\n".join(latencies(tally)))
        parts.append("\n".join(f"- {line}" for line in [*connections(tally), *circumstances(result)]))
    performed = Counter(outcome.name for outcome in result.done)
    if performed:
        parts.append("Actions: " + ", ".join(f"{count} x {name}" for name, count in performed.items()))
    if tally.lost:
        parts.append("\n".join(losses(tally)))
    return "\n\n".join(parts)


def latencies(tally: Tally) -> list[str]:
    rows = ["| latency | answers | median | p99 | p99.9 | longest |", "|---|---|---|---|---|---|"]
    for name, quiet in (("quiet", True), ("meanwhile", False)):
        spread = tally.spread(quiet=quiet)
        figures = (spread.p50, spread.p99, spread.p999, spread.maximum)
        rows.append(f"| {name} | {spread.count:,} | {' | '.join(map(milliseconds, figures))} |")
    return rows


def connections(tally: Tally) -> list[str]:
    kinds = ", ".join(f"{count:,} {kind}" for kind, count in sorted(tally.right.items()))
    lines = [
        f"right answers: {kinds}",
        f"connections opened: {tally.opened:,}; the server announced the end of one (`Connection: close`) "
        f"{tally.announced_closes:,} times and closed an idle one {tally.idle_closes:,} times",
    ]
    if tally.refused:
        lines.append(f"connections refused while no server was to be there: {tally.refused:,}")
    if tally.crossed:
        lines.append(f"WebSocket messages that crossed a close frame, and were sent again: {len(tally.crossed):,}")
    return lines


def circumstances(result: Result) -> list[str]:
    """What else bears on latency: the client itself, and whoever shares the machine."""
    lines = [f"the client's own longest stall: {milliseconds(result.tally.own_stall_s)}"]
    if result.cpu_waited is not None:
        lines.append(f"somebody on this machine waited for a CPU in {result.cpu_waited:.0%} of the time")
    return lines


def losses(tally: Tally) -> list[str]:
    rows = ["| lost | request | phase | why | during |", "|---|---|---|---|---|"]
    for names, count in tally.losses_by("what", "phase", "why", "during").most_common(30):
        rows.append(f"| {count} | {' | '.join(names)} |")
    return rows


def milliseconds(seconds: float) -> str:
    return f"{seconds * 1000:.1f} ms" if seconds else "-"


def as_json(results: Iterable[Result]) -> str:
    return json.dumps([as_fields(result) for result in results], indent=1)


def as_fields(result: Result) -> dict[str, object]:
    tally = result.tally
    return {
        "scenario": result.name,
        "options": result.options,
        "passed": result.passed,
        "duration_s": round(result.duration_s, 3),
        "requests": tally.requests,
        "right": dict(tally.right),
        "lost": [loss.as_fields() for loss in tally.lost],
        "unsavable": [loss.as_fields() for loss in tally.unsavable],
        "crossed": [loss.as_fields() for loss in tally.crossed],
        "connections": {
            "opened": tally.opened,
            "announced_closes": tally.announced_closes,
            "idle_closes": tally.idle_closes,
            "refused_after_stop": tally.refused,
        },
        "latency_s": {
            "quiet": spread_fields(tally.spread(quiet=True)),
            "acting": spread_fields(tally.spread(quiet=False)),
        },
        "slowest": [asdict(slow) for slow in sorted(tally.slowest, reverse=True)],
        "own_stall_s": tally.own_stall_s,
        "cpu_waited": result.cpu_waited,
        "processes": sorted(tally.pids),
        "claims": [asdict(claim) for claim in result.claims],
        "actions": [asdict(outcome) for outcome in result.done],
    }


def spread_fields(spread: Spread) -> dict[str, float]:
    return asdict(spread)
