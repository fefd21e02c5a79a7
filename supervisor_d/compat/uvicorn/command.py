"""`supervisor-d uvicorn ...`: uvicorn's command line and its variables, UVICORN_NAME."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

import click

from server_core.exit_codes import EXIT_BOOT_FAILED, EXIT_LISTENER
from supervisor_d._version import __version__
from supervisor_d.compat.options.table import PeerOption
from supervisor_d.compat.options.uvicorn import OPTIONS
from supervisor_d.compat.shared.translation import Translation, start
from supervisor_d.compat.uvicorn.translate import translate
from supervisor_d.host.system.signal_source import THIS_PROCESS

VARIABLES: Final = "UVICORN"
STARTUP_FAILURE: Final = 3
"""uvicorn's exit code where the application does not start; that of everything else that fails at start is 1."""

INTEGERS: Final = frozenset(
    {
        *("port", "fd", "workers", "ws_max_size", "ws_max_queue", "limit_concurrency", "backlog", "limit_max_requests"),
        *("limit_max_requests_jitter", "timeout_keep_alive", "timeout_graceful_shutdown", "timeout_worker_healthcheck"),
        *("ssl_version", "ssl_cert_reqs", "h11_max_incomplete_event_size"),
    }
)
NUMBERS: Final = frozenset({"reload_delay", "ws_ping_interval", "ws_ping_timeout"})
FLAGS: Final = frozenset({"reload", "http2", "reset_contextvars", "factory"})
SEVERAL: Final = frozenset({"reload_dirs", "reload_includes", "reload_excludes", "headers"})
CHOICES: Final[Mapping[str, tuple[str, ...]]] = {
    "lifespan": ("auto", "on", "off"),
    "interface": ("auto", "asgi3", "asgi2", "wsgi"),
    "log_level": ("critical", "error", "warning", "info", "debug", "trace"),
}
DEFAULTS: Final[Mapping[str, object]] = {"timeout_keep_alive": 5, "timeout_worker_healthcheck": 5}
"""uvicorn's, where ours differ and the setting takes them as they are; the others are in translate.py."""


def option(row: PeerOption) -> click.Option:
    """uvicorn's option, as its own command declares it."""
    help_text = f"{' '.join(f'--{name}' for name in row.ours)} {row.difference}".strip()
    names = ["/".join(row.flags) if len(row.flags) > 1 else row.flags[0], row.name]
    if row.name in FLAGS or len(row.flags) > 1:
        return click.Option(names, is_flag=True, default=None, help=help_text)
    kind: click.ParamType = click.STRING  # type: ignore[type-arg]  # generic in click 8.4 only
    if row.name in INTEGERS:
        kind = click.INT
    elif row.name in NUMBERS:
        kind = click.FLOAT
    elif row.name == "ws_per_message_deflate":
        kind = click.BOOL
    elif row.name in CHOICES:
        kind = click.Choice(CHOICES[row.name])
    return click.Option(names, type=kind, multiple=row.name in SEVERAL, help=help_text)


def where(ctx: click.Context, name: str) -> str:
    """Where a value came from, in the words of those who gave it."""
    row = OPTIONS[name]
    source = ctx.get_parameter_source(name)
    if source is click.core.ParameterSource.ENVIRONMENT:
        return f"env {VARIABLES}_{name.upper()}"
    if source is click.core.ParameterSource.COMMANDLINE:
        return row.flags[0] if row.flags else "APP"
    return f"{row.flags[0] if row.flags else name} (its default)"


def translation(ctx: click.Context) -> Translation:
    """What a parsed command line means here."""
    given = {**DEFAULTS, **{name: value for name, value in ctx.params.items() if value is not None}}
    return translate(given, lambda name: where(ctx, name))


def read(words: Sequence[str], environ: Mapping[str, str]) -> Translation:
    """A command line and the variables around it, without starting anything; click.UsageError if it is not sound."""
    with only(environ):
        return translation(uvicorn.make_context("uvicorn", list(words)))


@contextlib.contextmanager
def only(environ: Mapping[str, str]) -> Iterator[None]:
    """This process's environment without uvicorn's variables, but for those given: click reads them where they are."""
    kept = {name: os.environ.pop(name) for name in list(os.environ) if name.startswith(f"{VARIABLES}_")}
    added = {name: value for name, value in environ.items() if name.startswith(f"{VARIABLES}_")}
    os.environ.update(added)
    try:
        yield
    finally:
        for name in added:
            del os.environ[name]
        os.environ.update(kept)


def parameters() -> list[click.Parameter]:
    rows = [row for row in OPTIONS.values() if row.flags and row.name != "version"]
    return [click.Argument(["app"], envvar=f"{VARIABLES}_APP"), *map(option, rows)]


@click.command(
    "uvicorn",
    params=parameters(),
    context_settings={"auto_envvar_prefix": VARIABLES, "help_option_names": ["--help"]},
    short_help="Serve as uvicorn's command line says.",
)
@click.version_option(__version__, message="Running supervisor-d %(version)s with uvicorn's command line")
def uvicorn(**_: object) -> None:
    """Serve APP as uvicorn would with the same command line and UVICORN_* variables.

    The help of each option says which of our settings it is, and what differs.
    """
    ctx = click.get_current_context()
    code = start(translation(ctx), ctx.obj or THIS_PROCESS.restore)
    sys.exit({EXIT_BOOT_FAILED: STARTUP_FAILURE, EXIT_LISTENER: 1}.get(code, code))
