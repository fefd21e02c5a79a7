"""The table that everything is derived from."""

from __future__ import annotations

import dataclasses

import pytest

from server_core.settings.declaration import ServerSettings
from supervisor_d.settings.declaration import DaemonSettings, Settings
from supervisor_d.settings.resolve import parse
from supervisor_d.settings.table import ROWS, SECTIONS, Row

EACH = [pytest.param(row, id=row.name) for row in ROWS.values()]


def test_every_field_of_both_halves_is_a_row_and_no_name_is_in_both() -> None:
    fields = [field.name for half in (DaemonSettings, ServerSettings) for field in dataclasses.fields(half)]
    assert sorted(fields) == sorted(ROWS)
    assert len(set(fields)) == len(fields)


def test_every_section_has_rows() -> None:
    assert {row.option.section for row in ROWS.values()} == set(SECTIONS)


def test_no_two_rows_share_a_flag_or_a_variable() -> None:
    flags = [flag for row in ROWS.values() for flag in (*row.option.flags, f"--{row.long}")]
    variables = [name for row in ROWS.values() for name in (row.variable, *row.option.environment)]
    assert len(set(flags)) == len(flags)
    assert len(set(variables)) == len(variables)


@pytest.mark.parametrize("row", EACH)
def test_a_rows_names_follow_from_its_field(row: Row) -> None:
    assert row.long == row.name.replace("_", "-")
    assert row.variable == f"SUPERVISOR_D_{row.name.upper()}"


@pytest.mark.parametrize("row", EACH)
def test_a_default_can_be_written_and_read_again(row: Row) -> None:
    value = row.of(Settings(daemon=DaemonSettings(), server=ServerSettings()))
    assert value == row.default
    if row.name in (
        "app",
        "name",
        "header",
        "pythonpath",
        "reload_dir",
        "reload_exclude",
        "ssl_certfile",
        "ssl_keyfile",
    ):
        assert value in ("", ())  # stands for "not given", which cannot be written
        return
    assert parse(row, row.render(value)) == value


@pytest.mark.parametrize("row", EACH)
def test_a_rows_help_is_a_sentence_and_its_kind_says_what_it_accepts(row: Row) -> None:
    assert row.option.help.endswith(".")
    assert row.option.kind.accepts
