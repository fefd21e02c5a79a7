"""The generated pages say what the tables say."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from supervisor_d.errors import ConfigurationError
from supervisor_d.log import ALL_EVENTS
from supervisor_d.settings.keywords import modules
from supervisor_d.settings.reference import pages, write
from supervisor_d.settings.table import ROWS

DOCS = Path(__file__).parents[1] / "contrib" / "docs"
ANEW = "run `python -m supervisor_d.settings.reference`"


def test_the_settings_page_names_the_least_value_that_is_accepted() -> None:
    """`250ms`, an example of a length of time, is refused for some of them."""
    page = pages()["SETTINGS.md"].splitlines()
    refused = [row for row in ROWS.values() if row.option.check is not None and row.option.check(0.01) is not None]
    assert {"timeout", "header_timeout", "max_memory", "surge"} <= {row.name for row in refused}
    for row in refused:
        (line,) = (line for line in page if line.startswith(f"| `{row.long}` "))
        (least,) = re.findall(r"; (?:0 \(off\) or )?(?:at least|from) (\S+)", line.split(" | ")[2])
        value = row.option.read(least)
        assert isinstance(value, (int, float))
        assert row.option.check is not None
        assert row.option.check(value * 0.99) is not None, line


@pytest.mark.parametrize("name", sorted(pages()))
def test_a_generated_page_is_current(name: str) -> None:
    assert (DOCS / name).read_text(encoding="utf-8") == pages()[name], f"{name} is stale: {ANEW}"


@pytest.mark.parametrize("name", sorted(modules()))
def test_a_generated_module_is_current(name: str) -> None:
    assert (DOCS.parents[1] / name).read_text(encoding="utf-8") == modules()[name], f"{name} is stale: {ANEW}"


def test_pages_are_written_into_a_folder_that_is_there(tmp_path: Path) -> None:
    write(tmp_path)
    assert {path.name: path.read_text(encoding="utf-8") for path in tmp_path.iterdir()} == pages()
    with pytest.raises(ConfigurationError, match="run this from a checkout"):
        write(tmp_path / "none")


def test_every_setting_and_every_event_is_on_its_page() -> None:
    assert [row.long for row in ROWS.values() if f"| `{row.long}`" not in pages()["SETTINGS.md"]] == []
    assert [name for name in ALL_EVENTS if f"| `{name}` |" not in pages()["EVENTS.md"]] == []


@pytest.mark.parametrize("name", sorted(pages()))
def test_every_row_of_a_table_has_as_many_cells_as_its_heading(name: str) -> None:
    width = 0
    for line in pages()[name].splitlines():
        if not line.startswith("|"):
            width = 0
            continue
        cells = line.replace("\\|", "").count("|")
        width = width or cells
        assert cells == width, line


def test_the_readme_names_every_page() -> None:
    readme = (DOCS.parents[1] / "README.md").read_text(encoding="utf-8")
    assert [page.name for page in sorted(DOCS.glob("*.md")) if f"(contrib/docs/{page.name})" not in readme] == []
