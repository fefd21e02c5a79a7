"""`supervisor-d migrate`: prints what another server's command line is here."""

from __future__ import annotations

import os
from pathlib import Path

import click

from supervisor_d.compat.migrate.found import FoundCommand, find
from supervisor_d.compat.migrate.page import page
from supervisor_d.compat.migrate.read import ACCEPTED, read_file
from supervisor_d.compat.options.uvicorn import OPTIONS
from supervisor_d.compat.uvicorn.command import read
from supervisor_d.errors import ConfigurationError

TRANSLATED = "uvicorn"


@click.command(
    short_help="Print what uvicorn's command line is here.",
    context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False},
)
@click.option("--env", "variables", multiple=True, metavar="NAME=VALUE", help="A variable that the command is given.")
@click.option("--service", default="", metavar="NAME", help="Which service of a compose file.")
@click.argument("source", nargs=-1, required=True, type=click.UNPROCESSED)
def migrate(variables: tuple[str, ...], service: str, source: tuple[str, ...]) -> None:
    """Print the native command line, a TOML file and what differs, for SOURCE.

    SOURCE is a file (a Dockerfile, a systemd unit, a compose file, a Procfile, a shell script) or a command line:

        supervisor-d migrate Dockerfile

        supervisor-d migrate uvicorn main:app --port 80

    Nothing is started, and nothing is written.
    """
    found = locate(source, dict(map(assigned, variables)), service)
    if found.peer != TRANSLATED:
        raise ConfigurationError(
            f"{found.source}: {found.peer}'s command line is not translated yet, only {TRANSLATED}'s; "
            "contrib/docs/MIGRATING.md says of its options what they are here"
        )
    click.echo(page(found, read(found.words, found.environment), OPTIONS))


def assigned(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals or not name:
        raise ConfigurationError(f"--env: must be NAME=VALUE, not {text!r}")
    return name, value


def locate(source: tuple[str, ...], variables: dict[str, str], service: str) -> FoundCommand:
    """Where the command line stands: in a file, if one word names one, else in the words themselves."""
    if len(source) == 1 and not any(space in source[0] for space in " \t"):
        path = Path(source[0])
        if path.exists() or "/" in source[0] or path.suffix:
            return read_file(path, variables, service)
        raise ConfigurationError(f"{source[0]}: no such file; accepted: {ACCEPTED}")
    words = source[0].split() if len(source) == 1 else source
    return find(words, {**os.environ, **variables})
