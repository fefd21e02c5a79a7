"""What contrib/docs/DESIGN.md says of rooms and modules is so."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.imports import DAEMON_FLOORS, PACKAGES, ROOT, graph
from tests.picture import BEGIN, DESIGN, END, arrows, counts, main, picture, renewed, room_of

PAGE = DESIGN.read_text(encoding="utf-8")
TABLE = "### Where do I change X?"
ROOMS = sorted({path.name for package in PACKAGES for path in (ROOT / package).iterdir() if path.is_dir()})
NAMED = re.compile(
    rf"(?<![\w/.-])((?:tests|{'|'.join((*PACKAGES, *ROOMS))})(?:/[a-z_0-9]+)+(?:\.(?:py|pxd|md))?)(?![\w/])"
)


def rows(page: str) -> list[list[str]]:
    """The cells of the table of what is changed where, without its head."""
    table = page.partition(TABLE)[2].partition("\n#")[0]
    lines = [line for line in table.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


def named(page: str) -> Iterator[str]:
    """Each module, folder or file that is named by its path; those that were there before are not."""
    for cells in rows(page):
        page = page.replace(f" {cells[-1]} |\n", " |\n")
    yield from NAMED.findall(page)


def is_there(name: str) -> bool:
    places = [ROOT / name, *(ROOT / package / name for package in PACKAGES)]
    return any(place.exists() or place.with_name(f"{place.name}.py").exists() for place in places)


def test_the_design_holds_the_picture_that_the_sources_make() -> None:
    assert renewed(PAGE, graph()) == PAGE, "the picture is stale: run `python -m tests.picture --write`"


def test_every_module_stands_in_a_room_and_is_counted_once() -> None:
    known = graph()
    assert sum(counts(known).values()) == len(known)
    with pytest.raises(ValueError, match=r"server_core\.nowhere\.module: stands in no room"):
        room_of("server_core.nowhere.module")


def test_an_arrow_leads_from_room_to_room_and_not_within_one() -> None:
    known = {
        "server_core.http1.reader": frozenset({"server_core.http1.framing", "server_core.http.message"}),
        "server_core.http1.framing": frozenset[str](),
        "server_core.http.message": frozenset[str](),
        "supervisor_d.host.processes.spawn": frozenset({"server_core.records"}),
        "server_core.records": frozenset[str](),
    }
    assert arrows(known)["server_core.http1"] == {"server_core.http"}
    lines = picture(known).splitlines()
    assert [line.split() for line in lines if " http1 " in line] == [["6", "http1", "2", "http"]]
    floor = next(number for number, rooms in enumerate(DAEMON_FLOORS, 1) if "host.processes" in rooms)
    assert [line.split() for line in lines if "host.processes" in line] == [
        [str(floor), "host.processes", "1", "server_core.records"]
    ]


def test_a_picture_is_written_between_its_markers(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    page = tmp_path / "DESIGN.md"
    page.write_text(f"before\n{BEGIN}stale\n{END}behind\n")
    main(["--write"], page)
    written = page.read_text()
    main([])
    assert capsys.readouterr().out.strip() in written
    assert (written.startswith("before\n"), written.endswith("behind\n"), "stale" in written) == (True, True, False)
    page.write_text("no place\n")
    with pytest.raises(ValueError, match="markers of the picture are missing"):
        main(["--write"], page)
    with pytest.raises(SystemExit, match="takes nothing or --write, not --wrote"):
        main(["--wrote"], page)


def test_every_module_that_the_design_names_is_there() -> None:
    names = set(named(PAGE))
    assert {"policy/fact_table", "http1/keep_alive.py", "server_core/listen/listener_guard.py"} <= names
    assert sorted(name for name in names if not is_there(name)) == []


def test_a_module_that_is_not_there_is_found() -> None:
    table = f"{TABLE}\n| X | files | before |\n|---|---|---|\n| a | `tls/x.py` | http/y.py |\n"
    page = f"by `http1/gone`, tests/gone.py\n{table}"
    assert [name for name in named(page) if not is_there(name)] == ["http1/gone", "tests/gone.py", "tls/x.py"]


def test_the_design_says_of_twenty_things_where_they_are_changed() -> None:
    table = rows(PAGE)
    assert [len(cells) for cells in table] == [3] * 20
    files = {cells[0]: re.findall(r"`([a-z_0-9/]+\.py)`", cells[1]) for cells in table}
    assert [name for name, found in files.items() if not found] == []
    assert [file for found in files.values() for file in found if not is_there(file)] == []
