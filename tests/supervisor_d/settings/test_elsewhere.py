"""Flags of gunicorn and uvicorn: each is answered with a flag that there is."""

from __future__ import annotations

import re

import pytest
from click.testing import CliRunner

from supervisor_d.cli import cli
from supervisor_d.settings.elsewhere import HERE, hint
from supervisor_d.settings.rows import ROWS

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


def test_what_nobody_knows_has_no_hint() -> None:
    assert hint("--nothing-like-it") is None
