"""The page of what becomes of other servers' options; `python -m supervisor_d.compat.reference` renews it."""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from supervisor_d.compat.options.table import PEERS, PeerOption, counted

PAGE: Final = Path("contrib/docs/MIGRATING.md")
BEGIN: Final = "<!-- generated: python -m supervisor_d.compat.reference -->\n"
END: Final = "<!-- end of what is generated -->\n"


def tables() -> Mapping[str, Mapping[str, PeerOption]]:
    """{peer: its options by their names}, of the peers that have a table."""
    names = [peer for peer in PEERS if importlib.util.find_spec(f"supervisor_d.compat.options.{peer}") is not None]
    return {name: importlib.import_module(f"supervisor_d.compat.options.{name}").OPTIONS for name in names}


def section(peer: str, options: Mapping[str, PeerOption]) -> str:
    """One peer's options as a table, with how many have which fate."""
    counts = ", ".join(f"{number} {fate.value}" for fate, number in counted(options).items())
    rows = [f"## {peer}\n", f"{len(options)} options: {counts}.\n", "| Option | Here | What differs |", "|---|---|---|"]
    for option in options.values():
        name = ", ".join(f"`{flag}`" for flag in option.flags) or f"`{option.name}`"
        ours = ", ".join(f"`{setting}`" for setting in option.ours) or option.fate.value
        rows.append(f"| {name} | {ours} | {option.difference.replace('|', chr(92) + '|')} |")
    return "\n".join(rows) + "\n"


def renewed(page: str) -> str:
    """The page with its tables made anew; ValueError if it has lost its marks."""
    before, begin, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"{PAGE}: the marks around the generated tables are missing")
    made = "\n".join(section(peer, options) for peer, options in tables().items())
    return f"{before}{begin}\n{made}\n{end}{after}"


def main() -> None:
    PAGE.write_text(renewed(PAGE.read_text("utf-8")), "utf-8")


if __name__ == "__main__":
    main()
