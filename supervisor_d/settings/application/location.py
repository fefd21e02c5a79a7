"""Which directory the application runs in, and what relative paths are relative to.

A deploy that switches a symlink (`current -> releases/2`) changes what a path names, not where a process is. So the
directory is kept by its path, and entered anew for each generation: `chdir`, relative to where the daemon was started,
which is $PWD if that names the working directory (pwd(1), -L). Where a path led is found out once for a generation: one
that replaces a crashed worker is to run what its siblings run, and not half of a deploy that no reload has tried.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping
from typing import Final

from server_core.contract.search import Search
from server_core.records import dataclass
from server_core.settings.declaration import ServerSettings
from server_core.settings.option import PATH
from supervisor_d.errors import ConfigurationError
from supervisor_d.settings.application.search_path import SearchPath
from supervisor_d.settings.declaration import DaemonSettings, Settings
from supervisor_d.settings.sources.provenance import Source
from supervisor_d.settings.table import ROWS

NO_FILES: Final = ("", "off", "stderr", "-")
"""Values of access-log that are no path."""

NOWHERE: Final = SearchPath()


@dataclass(frozen=True, slots=True)
class Location:
    """Where one generation runs: no symlink is left in `directory`, nor in the settings' app_dir."""

    path: str
    """As it is called: what `directory` is found by."""
    directory: str
    server: ServerSettings
    """With absolute paths."""
    search: Search
    env_file: str = ""
    """Absolute; empty if there is none."""

    @property
    def is_there(self) -> bool:
        """Whether workers can still be started there."""
        return all(map(os.path.isdir, filter(None, (self.directory, self.server.app_dir))))


def working_directory(environ: Mapping[str, str]) -> str:
    """The path of the working directory, with its symlinks; ConfigurationError if the directory is gone."""
    called = environ.get("PWD", "")
    try:
        there = os.getcwd()
    except FileNotFoundError:
        again = f"cd {called}" if called else "cd into one"
        raise ConfigurationError(
            f"chdir: the working directory is gone, deleted or replaced since it was entered; {again}, and start again"
        ) from None
    is_plain = os.path.isabs(called) and not {".", ".."} & set(called.split("/"))
    try:
        return called if is_plain and os.path.samefile(called, there) else there
    except OSError:
        return there


def locate(settings: Settings, start: str, source: Source | None = None, searched: SearchPath = NOWHERE) -> Location:
    """Where a generation with these settings runs as from now; ConfigurationError if that cannot be entered.

    `searched` is the path that it imports from, and `source` is chdir's, for that error.
    """
    given = f" ({source})" if source and settings.daemon.chdir else ""
    path = os.path.join(start, settings.daemon.chdir) if settings.daemon.chdir else start
    if not os.path.isdir(path):
        what = "is gone" if not settings.daemon.chdir else "is not there" if not os.path.lexists(path) else "is none"
        raise ConfigurationError(f"chdir: must be a directory that exists; {path!r} {what}{given}")
    if not os.access(path, os.X_OK):
        raise ConfigurationError(
            f"chdir: must be a directory that can be entered; {path!r} is closed to this user{given}"
        )
    directory = os.path.realpath(path)
    absolute = anchored(settings, directory)
    server, daemon = absolute.server, absolute.daemon
    if server.app_dir:
        server = dataclasses.replace(server, app_dir=os.path.realpath(server.app_dir))
    first = map(os.path.realpath, daemon.pythonpath)
    return Location(path, directory, server, searched.search(directory, server.app_dir, first), daemon.env_file)


def anchored(settings: Settings, directory: str) -> Settings:
    """The settings with every path absolute that is relative to the directory in which the application runs."""
    changed: dict[object, dict[str, object]] = {ServerSettings: {}, DaemonSettings: {}}
    for name, row in ROWS.items():
        value = row.of(settings)
        if name == "chdir" or not (row.option.kind is PATH or name == "access_log"):
            continue
        if isinstance(value, tuple):
            changed[row.half][name] = tuple(os.path.join(directory, item) for item in value)
        elif isinstance(value, str) and value not in NO_FILES:
            changed[row.half][name] = os.path.join(directory, value)
    return Settings(
        daemon=dataclasses.replace(settings.daemon, **changed[DaemonSettings]),  # type: ignore[arg-type]  # each of its own type
        server=dataclasses.replace(settings.server, **changed[ServerSettings]),  # type: ignore[arg-type]  # each of its own type
    )
