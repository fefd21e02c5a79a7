"""One command line as what others need to run it: the program, its arguments, and what they may expect of it."""

from __future__ import annotations

import os
import shutil
import stat
import sys
from dataclasses import dataclass
from pathlib import Path

from supervisor_d.errors import ConfigurationError
from supervisor_d.policy.shutdown import total_budget_s
from supervisor_d.settings.application.location import locate
from supervisor_d.settings.declaration import Settings
from supervisor_d.settings.policy_terms import terms
from supervisor_d.settings.resolve import Resolved
from supervisor_d.settings.sources.provenance import Origin
from supervisor_d.settings.table import ROWS, Row

ALREADY_SAID = ("app", "config", "chdir")
"""Settings that the command line has in a form of their own."""


@dataclass(frozen=True, slots=True)
class Plan:
    """`program` and `arguments` together are the command; `directory` is where it is started, `home` where workers run.

    `needs` are the files and directories that it must be able to read, and `closed` those of them that not every user
    can. `stop_s` is the longest that a stop can take, and `boot_s`
    that a worker's start can.
    """

    name: str
    settings: Settings
    program: tuple[str, ...]
    arguments: tuple[str, ...]
    directory: str
    home: str
    needs: tuple[str, ...]
    closed: tuple[str, ...]
    stop_s: float
    boot_s: float

    @property
    def command(self) -> tuple[str, ...]:
        return (*self.program, "run", *self.arguments)


def plan_of(resolved: Resolved) -> Plan:
    """The plan for these settings, started here by this interpreter.

    What flags and the environment say becomes flags, since elsewhere the environment is another one; a file stays a
    file. Relative paths are made absolute, for they are relative to here.
    """
    settings = resolved.settings
    program, location = this_program(), locate(settings, resolved.start)
    agreed = terms(settings, pid1=False)
    needs = [resolved.start, sys.prefix, sys.base_prefix]
    if settings.daemon.chdir:
        needs.append(location.path)
    if settings.server.app_dir:
        needs.append(str(Path(location.path, settings.server.app_dir)))
    if settings.daemon.config:
        needs.append(str(Path(resolved.start, settings.daemon.config)))
    return Plan(
        name=settings.daemon.name,
        settings=settings,
        program=program,
        arguments=tuple(arguments_of(resolved)),
        directory=resolved.start,
        home=location.path,
        needs=tuple(dict.fromkeys(needs)),
        closed=tuple(path for path in dict.fromkeys(needs) if not is_open(path)),
        stop_s=total_budget_s(agreed),
        boot_s=agreed.boot_timeout,
    )


def is_open(path: str) -> bool:
    """Whether every user may read a file, or enter and list a directory, once led to it; true for what is not there."""
    try:
        mode = os.stat(path).st_mode
    except OSError:
        return True
    needed = 0o005 if stat.S_ISDIR(mode) else 0o004
    return mode & needed == needed


def this_program() -> tuple[str, ...]:
    """The console script beside this interpreter, or the module where there is none."""
    script = shutil.which("supervisor-d", path=str(Path(sys.executable).parent))
    return (script,) if script else (sys.executable, "-m", "supervisor_d")


def arguments_of(resolved: Resolved) -> list[str]:
    """APP and flags that give the same settings in any environment.

    chdir is written if the path has a symlink: a service manager sets no PWD by which the program could find it.
    """
    location = locate(resolved.settings, resolved.start)
    arguments = [resolved.settings.server.app]
    if resolved.settings.daemon.config:
        arguments += ["--config", str(Path(resolved.start, resolved.settings.daemon.config))]
    if resolved.settings.daemon.chdir or location.path != location.directory:
        arguments += ["--chdir", location.path]
    for name, row in ROWS.items():
        if name in ALREADY_SAID or resolved.provenance[name].origin in (Origin.DEFAULT, Origin.FILE):
            continue
        if row.option.secret:
            raise ConfigurationError(
                f"{row.long}: is a secret, and every process may read a command line; give a --config"
            )
        value = row.of(resolved.settings)
        arguments += flags_of(row, str(Path(location.path, str(value))) if name == "app_dir" else value)
    return arguments


def flags_of(row: Row, value: object) -> list[str]:
    """The flag, or flags, that give one setting this value."""
    if row.option.kind.is_flag:
        return [f"--{row.long}" if value else f"--no-{row.long}"]
    items = value if row.option.repeatable and isinstance(value, tuple) else (value,)
    return [text for item in items for text in (f"--{row.long}", row.option.kind.render(item))]
