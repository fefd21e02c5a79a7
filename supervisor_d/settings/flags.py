"""The declaration -> click options, and a --help that shows them by section with defaults.

click parses nothing: every flag takes a text, and a setting's own parser reads it, as it reads the environment's and
the file's. So each message is the same whatever the source.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import TypeVar

import click

from supervisor_d.settings.sources.foreign_flags import suggestion
from supervisor_d.settings.table import ROWS, SECTIONS, Row

Decorated = TypeVar("Decorated", bound=Callable[..., object])

METAVARS = {"seconds": "TIME", "bytes": "SIZE", "count": "N", "workers": "N|auto", "mode": "MODE"}
"""How a kind's value is shown after its flag, where neither its words nor its name would do."""


def metavar(row: Row) -> str:
    kind = row.option.kind
    if kind.words:
        return "|".join(kind.words)
    if row.name == "config":
        return "FILE"
    return METAVARS.get(kind.name, kind.name.upper())


def help_of(row: Row) -> str:
    """The help text with the default, as the setting's own text."""
    default = row.render(row.default)
    return f"{row.option.help}  [default: {default}]" if default else row.option.help


def click_option(row: Row) -> click.Option:
    if row.option.kind.is_flag:
        return click.Option([f"--{row.long}/--no-{row.long}", row.name], default=None, help=help_of(row))
    return click.Option(
        [*row.option.flags, f"--{row.long}", row.name],
        multiple=row.option.repeatable,
        metavar=metavar(row),
        help=help_of(row),
    )


def app_argument() -> click.Argument:
    return click.Argument(["app"], required=False, metavar="APP")


def record_of(parameter: click.Parameter, row: Row, ctx: click.Context) -> tuple[str, str]:
    """What the help shows for one setting; of an argument click shows no help."""
    if isinstance(parameter, click.Argument):
        return "APP", help_of(row)
    return parameter.get_help_record(ctx) or ("", "")


class SettingsCommand(click.Command):
    """A command that takes every setting: its callback is given `flags`, by setting name, beside its own options."""

    @cached_property
    def settings(self) -> list[click.Parameter]:
        """Made once: click asks for them to parse, and again to process what it parsed."""
        return [app_argument(), *(click_option(row) for row in ROWS.values() if row.name != "app")]

    def get_params(self, ctx: click.Context) -> list[click.Parameter]:
        return [*self.settings, *super().get_params(ctx)]

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        asked = list(args)  # click takes from the list what it has read
        try:
            return super().parse_args(ctx, args)
        except click.NoSuchOption as error:
            flags = [flag for row in ROWS.values() for flag in (f"--{row.long}", *row.option.flags)]
            unknown = self.unknown_in(asked, ctx) or [error.option_name]
            told = "\n".join(f"No such option {name!r}{suggestion(name, flags)}" for name in unknown)
            raise click.UsageError(told, ctx=error.ctx) from None

    def unknown_in(self, args: list[str], ctx: click.Context) -> list[str]:
        """Every option in a command line that this command has not, once each."""
        parser = self.make_parser(ctx)
        parser.ignore_unknown_options = True
        left = parser.parse_args(args[: args.index("--")] if "--" in args else args)[1]
        return list(dict.fromkeys(word.partition("=")[0] for word in left if word.startswith("-") and word != "-"))

    def invoke(self, ctx: click.Context) -> object:
        ctx.params["flags"] = {name: ctx.params.pop(name) for name in ROWS if name in ctx.params}
        return super().invoke(ctx)

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        by_name = {parameter.name: parameter for parameter in self.get_params(ctx)}
        for section, title in SECTIONS.items():
            rows = [row for row in ROWS.values() if row.option.section == section]
            shown = [record_of(by_name.pop(row.name), row, ctx) for row in rows]
            with formatter.section(title):
                formatter.write_dl(shown)
        own = [record for parameter in by_name.values() if (record := parameter.get_help_record(ctx)) is not None]
        with formatter.section("Options"):
            formatter.write_dl(own)
