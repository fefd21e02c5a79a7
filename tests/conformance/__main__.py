"""python -m tests.conformance: play every transcript on both parsers, print the table, write the page.

Exits with 1 if a play disagrees with its transcript, and says which.
"""

from __future__ import annotations

import asyncio
import sys

from tests.conformance.cases import all_cases
from tests.conformance.page import PAGE, Row, render, summary
from tests.conformance.play import play
from tests.helpers.http import PARSERS


async def run() -> list[Row]:
    return [Row(case, {parser: await play(case, parser) for parser in PARSERS}) for case in all_cases()]


def main() -> int:
    rows = asyncio.run(run())
    text = render(rows)
    print(text)
    PAGE.write_text(text, encoding="utf-8")
    faults = [fault for row in rows for told in row.faults.values() for fault in told]
    print(f"{summary(rows)}; written to {PAGE}", *faults, sep="\n", file=sys.stderr)
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
