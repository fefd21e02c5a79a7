"""What the operator wants, all told: default < file < environment < flag, each value with where it came from.

Every value that a file, a variable of ours or a flag gives is parsed, even if a stronger source wins: a mistake is
told when it is made, not when the flag above it is taken away. Only an overridden alias (WEB_CONCURRENCY, PORT) goes
unread, for it is written for others, too. All problems are reported at once.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path

from server_core.records import dataclass
from server_core.settings.declaration import ServerSettings
from server_core.settings.option import plain
from supervisor_d.errors import ConfigurationError
from supervisor_d.settings.application.application_name import name_of
from supervisor_d.settings.application.location import anchored, locate, working_directory
from supervisor_d.settings.application.search_path import SearchPath, search_path
from supervisor_d.settings.consistency import Host, ThisHost, contradictions
from supervisor_d.settings.declaration import DaemonSettings, Settings
from supervisor_d.settings.sources.environment import read_environment, relevant
from supervisor_d.settings.sources.foreign_flags import suggestion
from supervisor_d.settings.sources.provenance import Given, Origin, Source
from supervisor_d.settings.sources.toml_file import read_document
from supervisor_d.settings.table import ROWS, Row
from supervisor_d.settings.values.value_types import UNTOUCHED

DEFAULT = Source(Origin.DEFAULT)
NAMED_AFTER_APP = Source(Origin.DEFAULT, "(after the application)")
FROM_RELOAD = Source(Origin.DEFAULT, "(from reload)")
DEVELOPMENT_SPREAD_S = 0.1
"""Chosen: a developer's few connections need no spreading, and should meet the new code at once."""
FROM_UMASK = Source(Origin.DEFAULT, "(from umask)")


@dataclass(frozen=True, slots=True)
class Resolved:
    """Settings and the source of each; flags and environment are kept as they were, for reading again."""

    settings: Settings
    provenance: Mapping[str, Source]
    flags: Mapping[str, object]
    environ: Mapping[str, str]
    origin: Origin
    needs_app: bool
    start: str
    """The path of the directory in which the daemon was started."""
    searched: SearchPath
    """What the process that started the daemon imports from."""

    def reread(self) -> Resolved:
        """The same flags and environment over the file as it is now; ConfigurationError if that is not sound."""
        return resolve(
            self.flags,
            self.environ,
            origin=self.origin,
            needs_app=self.needs_app,
            start=self.start,
            searched=self.searched,
        )

    def as_rows(self) -> list[tuple[str, str, str]]:
        """(long name, value as text, source) of every setting, in the order of the sections."""
        return [(row.long, row.render(row.of(self.settings)), str(self.provenance[row.name])) for row in ROWS.values()]


def resolve(
    flags: Mapping[str, object],
    environ: Mapping[str, str],
    *,
    origin: Origin = Origin.FLAG,
    needs_app: bool = True,
    host: Host | None = None,
    start: str | None = None,
    searched: SearchPath | None = None,
) -> Resolved:
    """The settings that flags (by setting name; None is not given), environment and file make.

    A flag may be a Given, which says by itself where it came from: another server's command line, translated.

    `origin` is ARGUMENT when the flags are a Python call's; `start` is where relative paths begin, by default the
    working directory, and `searched` what is imported from, by default what this process imports from. Raises
    ConfigurationError with every problem.
    """
    start = start or working_directory(environ)
    searched = searched or search_path(start, is_programs=origin is Origin.ARGUMENT)
    problems: list[str] = []
    from_flags = read_flags(flags, origin, problems)
    from_environment = read_environment(environ, problems)
    from_file = find_document({**from_environment, **from_flags}.get("config"), start, problems)
    values = {name: row.default for name, row in ROWS.items()}
    provenance = dict.fromkeys(ROWS, DEFAULT)
    for layer in (from_file, from_environment, from_flags):
        for name, given in layer.items():
            if is_overridden_alias(name, given, from_flags):
                continue
            try:
                values[name] = parse(ROWS[name], given.value)
                provenance[name] = given.source
            except ValueError as error:
                problems.append(f"{ROWS[name].long}: {error} ({given.source})")
    # If the file cannot be read, it is unknown whether it names one.
    if needs_app and not values["app"] and not any(problem.startswith(("app: ", "config: ")) for problem in problems):
        problems.append("app: must be given, as module:attribute, such as main:app")
    if problems:
        raise ConfigurationError(*problems)
    derive(values, provenance)
    settings = build(values)
    located = anchored(settings, locate(settings, start, provenance["chdir"]).path)
    if found := contradictions(located, host or ThisHost()):
        raise ConfigurationError(*(f"{ROWS[name].long}: {what} ({provenance[name]})" for name, what in found))
    return Resolved(settings, provenance, dict(flags), relevant(environ), origin, needs_app, start, searched)


def derive(values: dict[str, object], provenance: dict[str, Source]) -> None:
    """Give what was not given, and follows from something else, its value."""
    if not values["name"]:
        values["name"], provenance["name"] = name_of(str(values["app"])), NAMED_AFTER_APP
    if values["reload"] and provenance["drain_spread"] is DEFAULT:
        values["drain_spread"], provenance["drain_spread"] = DEVELOPMENT_SPREAD_S, FROM_RELOAD
    umask = values["umask"]
    if isinstance(umask, int) and umask != UNTOUCHED and provenance["unix_mode"] is DEFAULT:
        values["unix_mode"], provenance["unix_mode"] = 0o777 & ~umask, FROM_UMASK


def build(values: Mapping[str, object]) -> Settings:
    """Both halves, from typed values by setting name."""
    daemon = {name: value for name, value in values.items() if ROWS[name].half is DaemonSettings}
    server = {name: value for name, value in values.items() if ROWS[name].half is ServerSettings}
    return Settings(
        daemon=dataclasses.replace(DaemonSettings(), **daemon),  # type: ignore[arg-type]  # typed by their parsers
        server=dataclasses.replace(ServerSettings(), **server),  # type: ignore[arg-type]  # typed by their parsers
    )


def read_flags(flags: Mapping[str, object], origin: Origin, problems: list[str]) -> dict[str, Given]:
    """What the command line, a Python call or a translation gives; an unknown name is a problem."""
    given: dict[str, Given] = {}
    for name, value in flags.items():
        if isinstance(value, Given) and name in ROWS:
            given[name] = value
        elif name not in ROWS:
            problems.append(f"{name}: unknown{suggestion(name, ROWS)} ({origin.value})")
        elif value is not None and ROWS[name].option.secret and origin is Origin.FLAG:
            problems.append(
                f"{ROWS[name].long}: is a secret, and every user may read a command line; give it in a --config file "
                f"or as {ROWS[name].variable} (flag --{ROWS[name].long})"
            )
        elif value is not None and value != ():
            given[name] = Given(value, Source(origin, place_of(ROWS[name], value, origin)))
    return given


def place_of(row: Row, value: object, origin: Origin) -> str:
    """What the person typed: --workers, --no-factory, APP; in Python the keyword."""
    if origin is Origin.ARGUMENT:
        return row.name
    if row.name == "app":
        return "APP"
    return f"--no-{row.long}" if value is False else f"--{row.long}"


def find_document(config: Given | None, start: str, problems: list[str]) -> dict[str, Given]:
    """What the configuration file gives, if one was named."""
    if config is None or not config.value:
        return {}
    return read_document(Path(start, str(config.value)), config.source, problems)


def is_overridden_alias(name: str, given: Given, flags: Mapping[str, Given]) -> bool:
    return given.source.place in ROWS[name].option.environment and name in flags


def parse(row: Row, value: object) -> object:
    """The typed value; ValueError says what would be accepted."""
    option = row.option
    if not option.repeatable:
        return option.read(text_of(row, value))
    items: Sequence[object] = value if isinstance(value, (list, tuple)) else [value]
    if not items:
        raise ValueError(f"must be at least one of {option.kind.accepts}, not empty")
    return tuple(option.read(text_of(row, item)) for item in items)


def text_of(row: Row, value: object) -> str:
    """A native value as the text that its setting's one parser reads."""
    kind = row.option.kind
    if isinstance(value, str):
        return value
    if row.option.secret:
        raise ValueError(row.option.refusal)  # a number has already lost how it was written
    if isinstance(value, bool):
        return "on" if value else "off"
    if kind.is_quoted and isinstance(value, int):
        raise ValueError(f'must be {kind.accepts}, in quotes ("{row.render(row.default)}"), not the number {value}')
    if isinstance(value, (int, float)):
        return plain(value)
    raise ValueError(f"must be {kind.accepts}, not {value!r}")
