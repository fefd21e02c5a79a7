"""The command line: a table of contents. What each command does is elsewhere; no module imports this."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping

import click

from supervisor_d.control.display.terminal import printable
from supervisor_d.errors import SupervisorError
from supervisor_d.host.system.signal_source import THIS_PROCESS
from supervisor_d.launch import PROGRAM, complain, launch
from supervisor_d.settings.flags import SettingsCommand
from supervisor_d.settings.resolve import resolve
from supervisor_d.settings.sources.foreign_variables import unread_variables
from supervisor_d.settings.sources.provenance import Origin

HELP = {"help_option_names": ["-h", "--help"], "max_content_width": 120}


class Program(click.Group):
    """A group whose commands' own errors end the program with one line each and their exit code.

    `ctl` and `init` are loaded when they are asked for, so that a master, which lives long, is not told how to draw
    tables and write manifests.
    """

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted([*super().list_commands(ctx), "ctl", "init", "migrate", "uvicorn"])

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name == "ctl":
            from supervisor_d.cli.ctl import ctl

            return ctl
        if cmd_name == "init":
            from supervisor_d.init.group import init

            return init
        if cmd_name == "migrate":
            from supervisor_d.cli.migrate import migrate

            return migrate
        if cmd_name == "uvicorn":
            from supervisor_d.compat.uvicorn.command import uvicorn

            return uvicorn
        return super().get_command(ctx, cmd_name)

    def invoke(self, ctx: click.Context) -> object:
        try:
            return super().invoke(ctx)
        except SupervisorError as error:
            complain(error)
            ctx.exit(error.exit_code)


def show_version(ctx: click.Context, _: click.Parameter, wanted: bool) -> None:
    """The version, and those of what the speed and the behaviour depend on."""
    if wanted:
        from supervisor_d.cli.versions import versions  # here, because only this needs package metadata

        click.echo(versions())
        ctx.exit()


@click.group(name=PROGRAM, cls=Program, context_settings=HELP)
@click.option("--version", is_flag=True, expose_value=False, is_eager=True, callback=show_version, help="Say versions.")
def cli() -> None:
    """Supervise a Python ASGI application: no bad deploy, no lost request, no unexplained kill."""


@cli.command(cls=SettingsCommand, short_help="Serve an application from supervised workers.")
def run(flags: Mapping[str, object]) -> None:
    """Serve APP (module:attribute or module:factory()) from supervised workers, in the foreground.

    Every flag is a TOML key, too (--graceful-timeout: graceful-timeout) and a variable
    (SUPERVISOR_D_GRACEFUL_TIMEOUT). A flag wins over a variable, a variable over the file, the file over the default.
    """
    if unread := unread_variables(os.environ):
        print(f"{PROGRAM}: {unread}", file=sys.stderr)
    sys.exit(launch(flags, Origin.FLAG, click.get_current_context().obj or THIS_PROCESS.restore))


@cli.command(
    cls=SettingsCommand,
    short_help="Validate the settings and boot the application once.",
    params=[
        click.Option(["--grace"], metavar="TIME", help="Refuse settings whose stop may take longer than this."),
    ],
)
def check(flags: Mapping[str, object], grace: str | None) -> None:
    """Validate the settings of `run`, then boot APP once in a child, stop it, and say how that went.

    Nothing is bound. Exit code 0, or 2 (settings) or 3 (application) with the reason.
    """
    from supervisor_d.cli.check import check as carry_out  # here, because it loads what only a worker needs

    for line in carry_out(resolve(flags, os.environ), grace):
        click.echo(line)


@cli.command(
    cls=SettingsCommand,
    short_help="Show every setting, its value and where it came from.",
    params=[click.Option(["--json", "as_json"], is_flag=True, help="One JSON object instead of a table.")],
)
def config(flags: Mapping[str, object], as_json: bool) -> None:
    """Show every setting as `run` would have it, its value, and where the value came from."""
    rows = resolve(flags, os.environ, needs_app=False).as_rows()
    if as_json:
        told = [{"name": name, "value": value, "source": source} for name, value, source in rows]
        click.echo(json.dumps({"settings": told}, indent=2))
        return
    widths = [max(len(printable(row[column])) for row in rows) for column in (0, 1)]
    for name, value, source in rows:
        click.echo(f"{name:{widths[0]}} = {printable(value):{widths[1]}}   {printable(source)}")


def main() -> None:
    """The console script. The process ends with it, and no signal turns that end into another one."""
    cli(prog_name=PROGRAM, obj=THIS_PROCESS.retire)
