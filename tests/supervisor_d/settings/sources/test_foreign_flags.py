"""Flags of gunicorn and uvicorn: each is answered with a flag that there is."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from click.testing import CliRunner

from supervisor_d.cli.program import cli
from supervisor_d.errors import ConfigurationError
from supervisor_d.settings.resolve import resolve
from supervisor_d.settings.sources.foreign_flags import HERE, hint
from supervisor_d.settings.sources.provenance import Origin
from supervisor_d.settings.table import ROWS

OURS = {flag for row in ROWS.values() for flag in (f"--{row.long}", *row.option.flags)}


@pytest.mark.parametrize("flag", HERE)
def test_a_flag_from_elsewhere_is_none_of_ours_and_is_answered_with_one_that_is(flag: str) -> None:
    assert flag not in OURS
    assert set(re.findall(r"--[a-z-]+", HERE[flag])) <= OURS


@pytest.mark.parametrize(
    ("command", "said"),
    [
        (["run", "main:app", "--host", "0.0.0.0"], "No such option '--host'; here: --bind HOST:PORT."),
        (["check", "main:app", "-k", "uvicorn_worker.UvicornWorker"], "No such option '-k'; here: every worker"),
        (["run", "main:app", "--worker", "3"], "Did you mean one of: '--max-workers', '--workers'?"),
        (["run", "main:app", "--nothing-like-it"], "No such option '--nothing-like-it'."),
    ],
)
def test_an_unknown_flag_is_refused_with_what_would_be_accepted(command: list[str], said: str) -> None:
    refused = CliRunner().invoke(cli, command)
    assert refused.exit_code == 2
    assert said in refused.output


@pytest.mark.parametrize("name", ["reload", "host", "limit_request_field_size"])
def test_a_name_from_elsewhere_is_answered_alike_in_a_file_a_variable_and_a_call(tmp_path: Path, name: str) -> None:
    file = tmp_path / "app.toml"
    file.write_text(f"{name} = true\n")
    variable = f"SUPERVISOR_D_{name.upper()}"
    here = hint(next(flag for flag in HERE if flag.replace("-", "_") == f"__{name}"))
    assert here is not None
    for flags, environ, place in (
        ({"config": str(file)}, {}, f"file {file}: {name}"),
        ({}, {variable: "1"}, f"env {variable}"),
        ({name: "1"}, {}, "argument"),
    ):
        with pytest.raises(ConfigurationError) as refused:
            resolve({"app": "main:app", **flags}, environ, origin=Origin.ARGUMENT)
        assert f": unknown; {here.partition('; ')[2][:-1]} ({place})" in str(refused.value)


def test_what_nobody_knows_has_no_hint() -> None:
    assert hint("--nothing-like-it") is None
