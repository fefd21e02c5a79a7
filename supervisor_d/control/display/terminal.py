"""Words, lengths, sizes and tables as they look on a terminal; pure, and knows nothing of what they mean."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from datetime import datetime
from typing import Final

WIDTH: Final = 80
"""Columns: what a terminal has that was not made wider, and a serial console always (VT100)."""

COLOURS: Final = {
    "serving": "32",
    "ready": "32",
    "committed": "32",
    "proved": "32",
    "starting": "36",
    "reloading": "36",
    "spawning": "36",
    "booting": "36",
    "probing": "36",
    "parked": "36",
    "draining": "33",
    "terminating": "33",
    "suspect": "31",
    "killing": "31",
    "backoff": "31",
    "degraded": "31",
    "rolled_back": "31",
    "error": "31",
    "warning": "33",
}
"""SGR codes (ECMA-48) by the word that gets them: green is well, cyan is coming, yellow is going, red is trouble."""

LEFT_ALIGNED: Final = frozenset(("STATE", "NAME", "VALUE", "SOURCE"))
UNITS_S: Final = (("d", 86400), ("h", 3600), ("m", 60))


def table(
    columns: Sequence[str], rows: Sequence[Sequence[str]], *, colour: bool = False, limit: int = WIDTH
) -> list[str]:
    """Rows under their headings; in a line that is too long, the gaps and then the last column give way."""
    cells = [columns, *rows]
    widths = [max(len(row[index]) for row in cells) for index in range(len(columns))]
    gap = 2 if sum(widths) + 2 * (len(columns) - 1) <= limit else 1
    room = limit - sum(widths[:-1]) - gap * (len(columns) - 1)
    widths[-1] = max(min(widths[-1], room), len(columns[-1]))
    return [table_line(columns, row, widths, " " * gap, colour and row is not columns) for row in cells]


def table_line(columns: Sequence[str], row: Sequence[str], widths: Sequence[int], gap: str, colour: bool) -> str:
    parts = []
    for column, cell, width in zip(columns, row, widths, strict=True):
        cut = cell if len(cell) <= width else cell[: width - 1] + "~"
        padded = cut.ljust(width) if column in LEFT_ALIGNED else cut.rjust(width)
        parts.append(padded.replace(cell, painted(cell, colour)) if column == "STATE" else padded)
    return gap.join(parts).rstrip()


def wrapped(line: str, indent: int) -> list[str]:
    """The line in lines of at most WIDTH columns, but for words that are longer; all but the first are indented."""
    return textwrap.wrap(
        line, WIDTH, subsequent_indent=" " * indent, break_long_words=False, break_on_hyphens=False
    ) or [""]


def painted(word: str, colour: bool) -> str:
    """A state or an outcome as people read it: `rolled back`, not `rolled_back`."""
    told = word.replace("_", " ")
    return coloured(told, COLOURS[word]) if colour and word in COLOURS else told


def coloured(word: str, code: str) -> str:
    return f"\x1b[{code}m{word}\x1b[0m"


def duration(length_s: object) -> str:
    """One or two units: 0.4s, 12s, 3m20s, 2h05m, 4d03h; a dash for what is not known."""
    if not isinstance(length_s, (int, float)):
        return "-"
    if length_s < 10:
        return f"{length_s:.1f}s"
    whole = int(length_s)
    if whole < 60:
        return f"{whole}s"
    if whole < 3600:
        return f"{whole // 60}m{whole % 60:02}s"
    if whole < 86400:
        return f"{whole // 3600}h{whole % 3600 // 60:02}m"
    return f"{whole // 86400}d{whole % 86400 // 3600:02}h"


def size(number_bytes: object) -> str:
    """Powers of 1024 with three digits or so: 512B, 42.1M, 1.3G."""
    if not isinstance(number_bytes, (int, float)):
        return "-"
    value = float(number_bytes)
    for unit in ("B", "K", "M"):
        if value < 1024:
            return f"{value:.0f}{unit}" if unit == "B" or value >= 100 else f"{value:.1f}{unit}"
        value /= 1024
    return f"{value:.1f}G"


def ago(at: str, now: str) -> str:
    """How long before `now`, both ISO 8601, in its largest unit; the instant itself where they cannot be compared."""
    try:
        length_s = (datetime.fromisoformat(now) - datetime.fromisoformat(at)).total_seconds()
    except ValueError:
        return at
    unit, unit_s = next(((unit, unit_s) for unit, unit_s in UNITS_S if length_s >= unit_s), ("s", 1))
    return f"{max(0, int(length_s // unit_s))}{unit} ago"


def printable(line: str) -> str:
    """The text with every character escaped that a terminal would act upon."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in line)
