"""The tables of commands and metrics; `python -m supervisor_d.control.reference` renews contrib/docs/CONTROL.md."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from server_core.contract.figures import Figures
from supervisor_d.control import metrics
from supervisor_d.control.command_types import Field
from supervisor_d.control.commands import COMMANDS
from supervisor_d.control.snapshot import Snapshot
from supervisor_d.vocabulary import Generation, Instant, Pid, Slot
from supervisor_d.vocabulary.status import DaemonState, SlotState, SlotStatus, Status

PAGE: Final = Path("contrib/docs/CONTROL.md")
BEGIN: Final = "<!-- generated: python -m supervisor_d.control.reference -->\n"
METRICS_BEGIN: Final = "<!-- generated from the metrics: python -m supervisor_d.control.reference -->\n"
END: Final = "<!-- end of what is generated -->\n"


def commands_table() -> str:
    """Every command, one a row."""
    rows = ["| Request | `ctl` | What it does | May hold | Answer |", "|---|---|---|---|---|"]
    for command in COMMANDS:
        ctl = f"`{command.usage}`".replace("|", "\\|") if command.ctl else ""
        holds = "; ".join([*fields(command.body, "{}"), *fields(command.query, "?{}=")])
        rows.append(f"| `{command.method} {command.path}` | {ctl} | {command.summary} | {holds} | {command.answer} |")
    return "\n".join(rows) + "\n"


def fields(held: Mapping[str, Field], form: str) -> list[str]:
    return [f"`{form.format(name)}` ({row.kind}) {row.help}" for name, row in held.items()]


def metrics_table() -> str:
    """Every family of /metrics, one a row, with the names of its labels."""
    rows = ["| Metric | Kind | Labels | What it tells |", "|---|---|---|---|"]
    for family in metrics.families(_one_worker()):
        names = dict.fromkeys(f"`{name}`" for sample in family.samples for name, _ in sample.labels)
        rows.append(f"| `{metrics.PREFIX}{family.name}` | {family.kind} | {', '.join(names)} | {family.help} |")
    return "\n".join(rows) + "\n"


def _one_worker() -> Snapshot:
    """A daemon with one worker that has beaten: each family has a sample."""
    slot, pid, then, now = Slot(1), Pid(2), Instant(1.0), Instant(2.0)
    worker = SlotStatus(slot, pid, Generation(1), SlotState.READY, then, then, 0, None)
    status = Status(DaemonState.SERVING, Generation(1), 1, 1, (worker,), None, None)
    figures = {slot: Figures(pid=pid, loop_beat_at=then)}
    return Snapshot("", "", "", Pid(1), then, now, now, status, figures=figures, rss_bytes={slot: 0})


def renewed(page: str) -> str:
    """The page with its tables made anew; ValueError if it has lost its marks."""
    for begin, table in ((BEGIN, commands_table()), (METRICS_BEGIN, metrics_table())):
        before, _, rest = page.partition(begin)
        _, end, after = rest.partition(END)
        if not end:
            raise ValueError(f"{PAGE}: the marks around a generated table are missing: {begin.strip()}")
        page = before + begin + "\n" + table + "\n" + END + after
    return page


def main() -> None:
    PAGE.write_text(renewed(PAGE.read_text("utf-8")), "utf-8")


if __name__ == "__main__":
    main()
