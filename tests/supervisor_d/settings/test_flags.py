"""The declaration as command line options, and the help that shows them."""

from __future__ import annotations

from collections.abc import Mapping

import click
import pytest
from click.testing import CliRunner, Result

from supervisor_d.settings.flags import SettingsCommand
from supervisor_d.settings.table import ROWS, SECTIONS, Row

EACH = [pytest.param(row, id=row.name) for row in ROWS.values() if row.name != "app"]


def given(*arguments: str) -> dict[str, object]:
    """What the callback gets for these arguments, without what was not given."""
    flags: dict[str, object] = {}

    def callback(flags: Mapping[str, object], own: bool) -> None:
        assert own == ("--own" in arguments)
        heard.update({name: value for name, value in flags.items() if value not in (None, ())})

    heard = flags
    command = SettingsCommand("x", callback=callback, params=[click.Option(["--own"], is_flag=True)])
    result = CliRunner().invoke(command, list(arguments))
    assert result.exit_code == 0, result.output
    return flags


def helped() -> Result:
    command = SettingsCommand("x", params=[click.Option(["--own"], is_flag=True, help="Its own.")])
    return CliRunner().invoke(command, ["--help"], terminal_width=200)


def test_nothing_given_is_nothing() -> None:
    assert given() == {}


@pytest.mark.parametrize("row", EACH)
def test_every_setting_has_a_flag_of_its_long_name(row: Row) -> None:
    if row.option.kind.is_flag:
        assert given(f"--{row.long}") == {row.name: True}
        assert given(f"--no-{row.long}") == {row.name: False}
    elif row.option.repeatable:
        assert given(f"--{row.long}", "a,b", f"--{row.long}", "c") == {row.name: ("a,b", "c")}
    else:
        assert given(f"--{row.long}", "x y") == {row.name: "x y"}
        assert given(f"--{row.long}=-1") == {row.name: "-1"}


@pytest.mark.parametrize(
    ("short", "name", "value"), [("-b", "bind", (":1",)), ("-w", "workers", ":1"), ("-c", "config", ":1")]
)
def test_the_usual_short_flags_are_there(short: str, name: str, value: object) -> None:
    assert given(short, ":1") == {name: value}


def test_the_application_is_an_argument_anywhere_among_the_flags() -> None:
    assert given("--workers", "2", "main:app", "--own") == {"app": "main:app", "workers": "2"}


def test_the_help_shows_every_setting_in_its_section_with_its_default() -> None:
    text = helped().output
    titles = [line[:-1] for line in text.splitlines() if line.endswith(":") and not line.startswith(" ")]
    assert titles == [*SECTIONS.values(), "Options"]
    for row in ROWS.values():
        shown = "\n  APP " if row.name == "app" else f"--{row.long}"
        section = text.partition(f"\n{SECTIONS[row.option.section]}:\n")[2].partition("\n\n")[0]
        assert shown in f"\n{section}", row.name
    assert "[default: 30s]" in text
    assert "--own" in text.partition("\nOptions:\n")[2]
