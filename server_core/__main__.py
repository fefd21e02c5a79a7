"""`python -m server_core APP`: one process, no supervisor. Flags are derived from the settings' declaration."""

from __future__ import annotations

import os
import sys

import click
from click.core import ParameterSource

from server_core import __version__
from server_core.errors import BootError, ServerError
from server_core.exit_codes import EXIT_OK
from server_core.runtime.early_signals import finish_streams
from server_core.standalone.arguments import DEFAULTS, OPTIONS, settings_from
from server_core.standalone.bind import BindAddress

PLACE_OPTIONS = (
    click.Option(["--host"], default="127.0.0.1", show_default=True, help="Address or name to listen on."),
    click.Option(["--port"], type=click.IntRange(0, 65535), default=8000, show_default=True, help="0: any free port."),
    click.Option(["--uds"], metavar="PATH", help="Listen on this Unix socket instead."),
    click.Option(["--fd"], type=click.IntRange(0), metavar="N", help="Listen on this inherited descriptor instead."),
)


class Several(click.types.StringParamType):
    """Text; several of them in one environment variable stand apart as the supervisor has it, not by white space."""

    def __init__(self, separator: str) -> None:
        self._separator = separator

    def split_envvar_value(self, rv: str) -> list[str]:
        return [part.strip() for part in rv.split(self._separator) if part.strip()]


def setting_option(name: str) -> click.Option:
    """The flag of one setting. click leaves the text alone: the setting's own parser says what is wrong with it."""
    row = OPTIONS[name]
    flag = name.replace("_", "-")
    environment = [f"SUPERVISOR_D_{name.upper()}", *row.environment]
    if row.kind.is_flag:
        names = [f"--{flag}/--no-{flag}", name]
        return click.Option(names, default=None, envvar=environment, help=row.help)
    value = getattr(DEFAULTS, name)
    default = ", ".join(map(row.kind.render, value)) if row.repeatable else row.render(value)
    shown = f"{row.help}  [default: {default}]" if default else row.help
    metavar = "|".join(row.kind.words) or row.kind.name.upper()
    kind = Several(row.kind.separator) if row.repeatable else None
    if row.secret:
        return click.Option([f"--{flag}", name], envvar=environment, help=row.help, callback=kept_secret)
    return click.Option(
        [f"--{flag}", name], metavar=metavar, envvar=environment, help=shown, multiple=row.repeatable, type=kind
    )


def kept_secret(ctx: click.Context, parameter: click.Parameter, value: str | None) -> str | None:
    """A secret that the environment gave, taken out of it: what the application starts does not inherit it."""
    assert parameter.name is not None
    variable = f"SUPERVISOR_D_{parameter.name.upper()}"
    if ctx.get_parameter_source(parameter.name) is ParameterSource.COMMANDLINE:
        raise click.UsageError(
            f"--{parameter.name.replace('_', '-')} is a secret, and every user may read a command line; set {variable}"
        )
    os.environ.pop(variable, None)
    return value


def command() -> click.Command:
    """The command line; its callback returns the exit code."""
    return click.Command(
        "server_core",
        params=[
            click.Argument(["app"]),
            *PLACE_OPTIONS,
            *(setting_option(name) for name in OPTIONS if name != "app"),
            click.Option(["--version"], is_flag=True, is_eager=True, expose_value=False, callback=tell_version),
        ],
        callback=serve,
        help="Serve the ASGI application APP (module:attribute or module:factory()) from this process.",
    )


def tell_version(ctx: click.Context, _parameter: click.Parameter, wanted: bool) -> None:
    if wanted and not ctx.resilient_parsing:
        click.echo(f"server_core {__version__}")
        ctx.exit()


def serve(app: str, host: str, port: int, uds: str | None, fd: int | None, **settings: object) -> int:
    """Serve until stopped; whatever went wrong is the last thing printed."""
    from server_core.standalone.runner import run  # here: --help has no need of it

    try:
        run(None, settings_from({**settings, "app": app}), BindAddress(host, port, uds, fd))
    except KeyboardInterrupt:
        return EXIT_OK
    except ServerError as error:
        stage = f"The application could not boot ({error.stage}):\n" if isinstance(error, BootError) else ""
        os.write(2, f"{stage}{error}\n".encode("utf-8", "backslashreplace"))
        return error.exit_code
    return EXIT_OK


def main() -> int:
    try:
        return int(command().main(prog_name="python -m server_core", standalone_mode=False))
    except click.ClickException as error:
        error.show()
        return error.exit_code
    finally:
        finish_streams()


if __name__ == "__main__":
    sys.exit(main())
