"""What was measured, as lines for a terminal and as the page contrib/docs/PERFORMANCE.md with its plot."""

from __future__ import annotations

import json
import statistics
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final, cast

from tests.bench.goals import GOALS, reached
from tests.bench.loads import LOADS
from tests.bench.process_tree import ROOT
from tests.bench.servers import SERVERS
from tests.bench.single_figures import FIGURES

PAGE: Final = ROOT / "contrib" / "docs" / "PERFORMANCE.md"
PLOT: Final = ROOT / "contrib" / "docs" / "performance.png"
RESULTS: Final = Path(__file__).with_name("results.json")
METHOD: Final = Path(__file__).with_name("performance.template.md")

Row = Mapping[str, object]
Found = Mapping[str, Row]


def rounds(row: Row) -> list[Mapping[str, float]]:
    return cast("list[Mapping[str, float]]", row.get("rounds", []))


def median(row: Row, what: str) -> float | None:
    """The median over the rounds: cpu_us, rate, p50_ms or p99_ms; None if it was not measured."""
    values = []
    for each in rounds(row):
        if what == "cpu_us":
            values.append(each["cpu_s"] * 1e6 / each["requests"])
        elif what == "rate":
            values.append(each["requests"] / each["seconds"])
        elif each.get(what) is not None:
            values.append(each[what])
    return statistics.median(values) if values else None


def costs(found: Found) -> dict[str, float]:
    """CPU microseconds per request of everybody who got through."""
    return {
        name: value
        for name, row in found.items()
        if "error" not in row and (value := median(row, "cpu_us")) is not None
    }


def row(name: str, title: str, found: Found) -> str:
    lines = [f"{name}: {title}"]
    for server, told in found.items():
        if "error" in told:
            lines.append(f"  {server:22} {told['error']}")
            continue
        cost, rate, late = (median(told, what) for what in ("cpu_us", "rate", "p99_ms"))
        lines.append(f"  {server:22} {cost:9.2f} us {rate:10.0f}/s  p99 {late or 0:8.2f} ms")
    return "\n".join(lines)


def figure_row(name: str, found: Found) -> str:
    figure = FIGURES[name]
    lines = [f"{name}: {figure.title}, {figure.unit}"]
    lines += [f"  {server:22} {value_of(told)}" for server, told in found.items()]
    return "\n".join(lines)


def value_of(told: Row) -> str:
    values = cast("list[float]", told.get("values", []))
    if "error" in told or not values:
        return str(told.get("error", "-"))
    return f"{statistics.median(values):.3g}"


def table(found_by_load: Mapping[str, Mapping[str, object]], what: str, form: str) -> list[str]:
    """One row a load, one column a server."""
    servers = [name for name in SERVERS if "h11" not in name]
    lines = ["| load | " + " | ".join(servers) + " |", "|---" * (len(servers) + 1) + "|"]
    for name, load in LOADS.items():
        if name not in found_by_load or name == "h11":
            continue
        found = cast(Found, found_by_load[name]["servers"])
        cells = []
        for server in servers:
            told = found.get(server, {})
            value = None if "error" in told else median(told, what)
            cells.append("failed" if "error" in told else "" if value is None else form.format(value))
        lines.append(f"| {load.title} | " + " | ".join(cells) + " |")
    return lines


def goals(found_by_load: Mapping[str, Mapping[str, object]]) -> list[str]:
    lines = ["| load | compared with | goal | measured | |", "|---|---|---|---|---|"]
    for goal in GOALS:
        if goal.load not in found_by_load:
            continue
        found = reached(goal, costs(cast(Found, found_by_load[goal.load]["servers"])))
        if found is None:
            lines.append(f"| {LOADS[goal.load].title} | {goal.against} | {goal.ratio} | not measured | |")
            continue
        them, ratio = found
        kept = "kept" if ratio <= goal.ratio else "**missed**"
        lines.append(f"| {LOADS[goal.load].title} | {them} | {goal.ratio} | {ratio:.2f} | {kept} |")
    return lines


def failures(found_by_load: Mapping[str, Mapping[str, object]]) -> list[str]:
    """What a server could not do, in its own words."""
    lines = []
    for name, kept in found_by_load.items():
        for server, told in cast(Found, kept["servers"]).items():
            if "error" in told:
                lines.append(f"- {LOADS[name].title}, {server}: {told['error']}")
    return lines


def figures(found: Mapping[str, Mapping[str, object]]) -> list[str]:
    servers = [name for name, server in SERVERS.items() if not server.is_floor and "h11" not in name]
    lines = ["| figure | " + " | ".join(servers) + " |", "|---" * (len(servers) + 1) + "|"]
    for name, figure in FIGURES.items():
        if name in found:
            told = cast(Found, found[name]["servers"])
            cells = [value_of(told[server]) if server in told else "" for server in servers]
            lines.append(f"| {figure.title}, {figure.unit} | " + " | ".join(cells) + " |")
    return lines


def growth(rows: Sequence[tuple[str, float]]) -> list[str]:
    told = [f"| {title} | {value:.1f} |" for title, value in rows]
    return ["| what grows | CPU us per request |", "|---|---|", *told]


def h11_line(found_by_load: Mapping[str, Mapping[str, object]]) -> str:
    if "h11" not in found_by_load:
        return ""
    told = costs(cast(Found, found_by_load["h11"]["servers"]))
    return "h11 parser, hello: " + ", ".join(f"{name} {cost:.1f} us" for name, cost in told.items()) + "."


def machine(told: Mapping[str, object]) -> str:
    versions = ", ".join(cast("list[str]", told["versions"])).replace("==", " ")
    return (
        f"{told['date']}, {told['processor']}, {told['cpus']} CPUs, Linux {told['kernel']}, CPython {told['python']}, "
        f"supervisor-d {told['supervisor-d']}, {versions}."
    )


def write(kept: Mapping[str, Mapping[str, object]], python: Path) -> None:
    """The page from its template, and the plot."""
    loads = cast("Mapping[str, Mapping[str, object]]", kept.get("loads", {}))
    text = METHOD.read_text()
    for mark, lines in {
        "MACHINE": [machine(kept["machine"])],
        "GOALS": goals(loads),
        "COSTS": table(loads, "cpu_us", "{:.1f}"),
        "RATES": table(loads, "rate", "{:.0f}"),
        "LATE": table(loads, "p99_ms", "{:.2f}"),
        "H11": [h11_line(loads)],
        "FIGURES": figures(cast("Mapping[str, Mapping[str, object]]", kept.get("figures", {}))),
        "GROWTH": growth(cast("Sequence[tuple[str, float]]", kept.get("growth", ()))),
        "FAILURES": failures(loads) or ["None."],
    }.items():
        text = text.replace(f"<!-- {mark} -->", "\n".join(lines))
    PAGE.write_text(text)
    shown = {
        LOADS[name].title: costs(cast(Found, found["servers"]))
        for name, found in loads.items()
        if name in LOADS and name != "h11"
    }
    subprocess.run(
        [str(python), "-m", "tests.bench.plot", str(PLOT)], input=json.dumps(shown), text=True, check=True, cwd=ROOT
    )
