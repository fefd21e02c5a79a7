"""`ctl`'s commands are derived: a row, and its text, are all that a command of `ctl` needs."""

from __future__ import annotations

import click
import pytest
from click.testing import CliRunner

from supervisor_d.cli.ctl import ctl
from supervisor_d.control.client.derived_commands import derived_command
from supervisor_d.control.command_types import Argument, Command, Field, Sending
from supervisor_d.control.commands import COMMANDS, WAIT_OR_NOT, command_of
from supervisor_d.control.display.outcomes import OUTCOMES
from supervisor_d.control.reference import commands_table
from supervisor_d.vocabulary import StopRequested

OWN = {"events", "health"}
"""What cli/ctl.py declares itself: a stream that is read, and two requests in one command."""

WRITING = tuple(row for row in COMMANDS if row.act is not None)


def test_ctl_has_a_command_for_each_row_and_no_other() -> None:
    assert set(ctl.commands) == {row.word for row in COMMANDS if row.ctl}


def test_each_command_but_the_declared_ones_has_its_text_and_each_text_its_command() -> None:
    assert set(OUTCOMES) == {row.ctl for row in COMMANDS if row.ctl and row.word not in OWN}


@pytest.mark.parametrize("row", WRITING, ids=lambda row: row.ctl)
def test_a_writing_command_of_ctl_has_the_options_of_its_row(row: Command) -> None:
    command = ctl.commands[row.word]
    flags = {name for option in command.params if isinstance(option, click.Option) for name in option.opts}
    assert flags - {"--json"} == {field.flag for field in row.body.values() if field.flag}
    assert command.help == row.summary
    assert row.usage.replace("|", "\\|") in commands_table()


ROW = Command(
    "POST",
    "/v1/workers/{slot}/freeze",
    "freeze",
    "Freeze one worker.",
    "200",
    body={
        "wait": WAIT_OR_NOT,
        "deep": Field("switch", "true: at once", flag="--deep", flag_help="At once.", needs_wait=True),
        "by": Field("integer", "how much"),
    },
    act=lambda asked: StopRequested(asked.origin, fast=True),
    argument=Argument("N", lambda text: {"by": int(text)}),
)
"""A command that there is not, as a row would add it."""


def sent_by(*arguments: str) -> tuple[int, str, list[Sending]]:
    sent: list[Sending] = []
    command = derived_command(ROW, lambda sending, _: sent.append(sending))
    result = CliRunner().invoke(command, arguments)
    return result.exit_code, result.stderr, sent


def test_a_row_alone_makes_the_command_its_request_and_its_usage() -> None:
    assert ROW.usage == "freeze [--no-wait] [--deep] SLOT N"
    exit_code, _, sent = sent_by("3", "-2", "--deep")
    assert exit_code == 0
    assert [(sending.path, sending.body) for sending in sent] == [("/v1/workers/3/freeze", {"by": -2, "deep": True})]
    assert sent_by("3", "1", "--no-wait")[2][0].body == {"by": 1, "wait": False}


def test_a_derived_command_refuses_before_it_sends() -> None:
    for arguments, reason in (
        (("3", "x"), "invalid literal"),
        (("x", "1"), "is not a valid integer"),
        (("3", "1", "--deep", "--no-wait"), "--deep needs its outcome waited for; leave out --no-wait"),
    ):
        exit_code, told, sent = sent_by(*arguments)
        assert (exit_code, sent) == (2, [])
        assert reason in told


def test_the_one_fixed_argument_is_wanted_by_name() -> None:
    assert command_of("explain workers").usage == "explain workers"
    assert CliRunner().invoke(ctl, ["explain", "weather"]).exit_code == 2
