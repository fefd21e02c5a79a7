"""The commands of `ctl` as click has them, derived from the rows of control/commands.py.

A switch with a flag becomes an option, a path with a slot or a row with an argument an argument. Rejected: click's
decorators in cli/ctl.py, which declared each option a second time.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

import click

from supervisor_d.control.client.option_position import PlacedCommand
from supervisor_d.control.command_types import Argument, Command, Sending

Run = Callable[[Sending, bool], None]
"""Sends a request and shows its answer; true: as JSON."""

JSON: Final = "as_json"
SLOT: Final = "slot"
ARGUMENT: Final = "argument"


def derived_command(row: Command, run: Run) -> click.Command:
    """The click command of one row; usage errors are found before anything is sent."""

    def callback(**given: object) -> None:
        as_json = bool(given.get(JSON, False))
        slot = given.get(SLOT, 0)
        assert isinstance(slot, int)
        run(Sending(row, slot, _body(row, given)), as_json)

    return PlacedCommand(
        row.word,
        # -2 is not an option here, so that ignoring unknown options lets it be an argument
        context_settings={"ignore_unknown_options": row.argument is not None},
        params=list(_parameters(row)),
        callback=callback,
        help=row.summary,
    )


def _parameters(row: Command) -> list[click.Parameter]:
    _, _, fixed = row.ctl.partition(" ")
    parameters: list[click.Parameter] = []
    if fixed:
        parameters.append(click.Argument(["what"], type=click.Choice([fixed]), expose_value=False))
    if row.names_slot:
        parameters.append(click.Argument([SLOT], type=int))
    if row.argument is not None:
        parameters.append(click.Argument([ARGUMENT], metavar=row.argument.metavar, callback=_parsing(row.argument)))
    for name, field in row.fields.items():
        if field.flag:
            parameters.append(click.Option([field.flag, name], is_flag=True, help=field.flag_help))
    if row.has_object:
        parameters.append(click.Option(["--json", JSON], is_flag=True, help="The object itself, as JSON."))
    return parameters


def _parsing(argument: Argument) -> Callable[[click.Context, click.Parameter, str], Mapping[str, object]]:
    def parse(_: click.Context, __: click.Parameter, text: str) -> Mapping[str, object]:
        try:
            return argument.parse(text)
        except ValueError as error:
            raise click.BadParameter(str(error)) from None

    return parse


def _body(row: Command, given: Mapping[str, object]) -> Mapping[str, object]:
    """The argument's keys, and one for each option that was given."""
    argument = given.get(ARGUMENT, {})
    assert isinstance(argument, Mapping)
    switched = {name: row.body[name] for name in row.body if given.get(name)}
    body = {**argument, **{name: field.flag_gives for name, field in switched.items()}}
    for field in switched.values():
        if field.needs_wait and not body.get("wait", True):
            raise click.UsageError(f"{field.flag} needs its outcome waited for; leave out {row.body['wait'].flag}")
    return body
