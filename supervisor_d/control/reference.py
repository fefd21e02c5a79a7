"""The table of commands as Markdown; `python -m supervisor_d.control.reference` renews contrib/docs/CONTROL.md."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from supervisor_d.control.command_types import Field
from supervisor_d.control.commands import COMMANDS

PAGE: Final = Path("contrib/docs/CONTROL.md")
BEGIN: Final = "<!-- generated: python -m supervisor_d.control.reference -->\n"
END: Final = "<!-- end of what is generated -->\n"


def commands_table() -> str:
    """Every command, one a row."""
    rows = ["| Request | `ctl` | What it does | May hold | Answer |", "|---|---|---|---|---|"]
    for command in COMMANDS:
        ctl = f"`{command.ctl}`".replace("|", "\\|") if command.ctl else ""
        holds = "; ".join([*fields(command.body, "{}"), *fields(command.query, "?{}=")])
        rows.append(f"| `{command.method} {command.path}` | {ctl} | {command.summary} | {holds} | {command.answer} |")
    return "\n".join(rows) + "\n"


def fields(held: Mapping[str, Field], form: str) -> list[str]:
    return [f"`{form.format(name)}` ({row.kind}) {row.help}" for name, row in held.items()]


def renewed(page: str) -> str:
    """The page with its table made anew; ValueError if it has lost its marks."""
    before, _, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not end:
        raise ValueError(f"{PAGE}: the marks around the table of commands are missing")
    return before + BEGIN + "\n" + commands_table() + "\n" + END + after


def main() -> None:
    PAGE.write_text(renewed(PAGE.read_text("utf-8")), "utf-8")


if __name__ == "__main__":
    main()
