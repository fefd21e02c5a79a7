"""`supervisor-d init` on the command line."""

from __future__ import annotations

import pytest
from click.testing import CliRunner

from supervisor_d.cli.program import cli


def test_init_systemd_prints_the_units_of_one_command_line() -> None:
    runner = CliRunner()
    told = runner.invoke(cli, ["init", "systemd", "main:app", "--workers", "2", "-b", ":8000", "--name", "shop"])
    assert told.exit_code == 0, told.output
    assert " run main:app --bind 0.0.0.0:8000 --workers 2 --name shop\n" in told.output
    assert "RuntimeDirectory=supervisor-d/shop\n" in told.output
    told = runner.invoke(cli, ["init", "systemd", "main:app", "-b", ":8000", "--socket"])
    assert "\nListenStream=0.0.0.0:8000\n" in told.output


@pytest.mark.parametrize("arguments", [["systemd"], ["systemd", "main:app", "--workers", "0"]])
def test_init_refuses_what_run_would(arguments: list[str]) -> None:
    told = CliRunner().invoke(cli, ["init", *arguments])
    assert told.exit_code == 2
    assert told.output.startswith("supervisor-d: ")
