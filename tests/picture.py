"""The rooms of both packages as text, floor by floor, and which room knows which: python -m tests.picture.

contrib/docs/DESIGN.md holds the output between two markers; `python -m tests.picture --write` puts it there anew. Rooms
and floors are those of tests/imports.py, counts and arrows are read from the sources.
"""

from __future__ import annotations

import sys
import textwrap
from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

from tests.imports import DAEMON_FLOORS, FLOORS, PACKAGES, ROOT, Graph, graph

DESIGN: Final = ROOT / "contrib" / "docs" / "DESIGN.md"
BEGIN: Final = "<!-- the output of `python -m tests.picture`; `python -m tests.picture --write` renews it -->\n"
END: Final = "<!-- the end of that output -->\n"
WIDTH: Final = 116
ROOT_ROOM: Final = "__init__"
"""The package's own module, as a room."""

Arrows = Mapping[str, frozenset[str]]
"""{room: the rooms that its modules import}, each with its package in front."""


def floors(package: str) -> tuple[tuple[str, ...], ...]:
    """The rooms of a package, from the top."""
    return (
        FLOORS if package == "server_core" else tuple(tuple(room or ROOT_ROOM for room in row) for row in DAEMON_FLOORS)
    )


def room_of(module: str) -> str:
    """The room of a module, with its package; the longest name that fits. Raises ValueError if it stands in none."""
    package, _, rest = module.partition(".")
    rest = rest or ROOT_ROOM
    fitting = [room for row in floors(package) for room in row if rest == room or rest.startswith(f"{room}.")]
    if fitting:
        return f"{package}.{max(fitting, key=len)}"
    if any(room.startswith(f"{rest}.") for row in floors(package) for room in row):
        return f"{package}.{ROOT_ROOM}"  # a folder of rooms, whose own module is empty
    raise ValueError(f"{module}: stands in no room of tests/imports.py")


def arrows(known: Graph) -> Arrows:
    """Which room knows which, without itself."""
    found: dict[str, set[str]] = defaultdict(set)
    for module, imported in known.items():
        here = room_of(module)
        found[here] |= {there for there in map(room_of, imported) if there != here}
    return {room: frozenset(others) for room, others in found.items()}


def counts(known: Graph) -> Mapping[str, int]:
    """{room: how many modules stand in it}"""
    found: dict[str, int] = defaultdict(int)
    for module in known:
        found[room_of(module)] += 1
    return found


def picture(known: Graph) -> str:
    """One line for each room, and lines that go on with its arrows."""
    return "\n".join(line for package in PACKAGES for line in _drawn(package, known))


def _drawn(package: str, known: Graph) -> Iterator[str]:
    pointed, held = arrows(known), counts(known)
    ours = [module for module in known if module.partition(".")[0] == package]
    yield f"{package}: {len(ours)} modules"
    yield ""
    yield "floor  room                     modules  imports of"
    order = [f"{other}.{room}" for other in (package, *PACKAGES) for row in floors(other) for room in row]
    for number, row in enumerate(floors(package), 1):
        for room in row:
            name = f"{package}.{room}"
            others = sorted(pointed.get(name, ()), key=order.index)
            told = ", ".join(other.removeprefix(f"{package}.") for other in others) or "-"
            head = f"{number:>4}   {room:<24}{held.get(name, 0):>8}  "
            yield from textwrap.wrap(told, WIDTH, initial_indent=head, subsequent_indent=" " * len(head))
    yield ""


def block(known: Graph) -> str:
    """What stands between the markers."""
    return f"{BEGIN}\n```text\n{picture(known).rstrip()}\n```\n\n{END}"


def renewed(page: str, known: Graph) -> str:
    """The page with a new picture; ValueError if it has no place for one."""
    before, begin, rest = page.partition(BEGIN)
    _, end, behind = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"{DESIGN.name}: the markers of the picture are missing: {BEGIN.strip()} ... {END.strip()}")
    return before + block(known) + behind


def main(arguments: list[str], page: Path = DESIGN) -> None:
    if arguments not in ([], ["--write"]):
        sys.exit(f"python -m tests.picture takes nothing or --write, not {' '.join(arguments)}")
    if arguments:
        page.write_text(renewed(page.read_text(encoding="utf-8"), graph()), encoding="utf-8")
    else:
        print(picture(graph()))


if __name__ == "__main__":
    main(sys.argv[1:])
