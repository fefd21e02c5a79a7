"""`--log-config`: the application's `logging`, configured from a file before the application is imported.

INI as logging.config.fileConfig reads it, or JSON, YAML (with PyYAML) or TOML as dictConfig does; the name's end tells
which. It is applied in each process that imports the application, and never in a master: a handler's class may be the
application's own, and a handler may wait for its receiver.

Two loggers are ours, where the file names them: `supervisor_d` gets the events of this process, `supervisor_d.access`
the lines of the access log, if there is one. Unnamed, both stay where they are, and out of the root logger. A file that
was written for uvicorn is taken as it is: its loggers `uvicorn.error` (or `uvicorn`) and `uvicorn.access` get the same,
the events in its words and the requests with its arguments.
"""

from __future__ import annotations

import importlib
import json
import logging
from collections.abc import Callable, Mapping
from configparser import ConfigParser
from configparser import Error as IniError
from pathlib import Path
from typing import Final

from server_core.errors import UsageError
from server_core.log import Event, Log, tally
from server_core.log_lines import BLOCK_KEYS, UVICORN, worded
from server_core.uvicorn_logging import ACCESS_LOGGER as UVICORN_ACCESS_LOGGER
from server_core.uvicorn_logging import ACCESS_MESSAGE, ERROR_LOGGER, PARENT_LOGGER, standing_in

EVENTS_LOGGER: Final = "supervisor_d"
ACCESS_LOGGER: Final = "supervisor_d.access"

Facts = Mapping[str, object]

INI_SECTIONS: Final = ("loggers", "handlers", "formatters")
"""What fileConfig wants at least."""


def problem(path: str) -> str | None:
    """What is wrong with the file, as far as that can be seen without importing what it names."""
    try:
        content = read(path)
    except UsageError as error:
        return str(error)
    if isinstance(content, ConfigParser):
        missing = [name for name in INI_SECTIONS if name not in content]
        return f"{path} has no section [{'], ['.join(missing)}]" if missing else None
    if content.get("version") != 1:
        return f"{path} must have version 1 (logging.config, dictionary schema), not {content.get('version')!r}"
    return None


def apply(path: str) -> None:
    """Configure `logging` for this process. Raises UsageError, which names the file."""
    import logging.config  # here: a master that only looks at the file needs none of it

    content = read(path)
    try:
        with standing_in():
            if isinstance(content, ConfigParser):
                logging.config.fileConfig(content, disable_existing_loggers=False)
            else:
                logging.config.dictConfig(dict(content))
    except Exception as error:  # whatever a handler's class or an expression in an INI file raises
        why = f"{error}: {error.__cause__}" if error.__cause__ else str(error)
        raise UsageError(f"log-config: {path} cannot be applied: {why}") from error


def read(path: str) -> ConfigParser | Mapping[str, object]:
    """The file's content, by the end of its name. Raises UsageError."""
    try:
        text = Path(path).read_text("utf-8")
        content = _parse(text, path)
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror or error}") from None
    except (ValueError, IniError, RecursionError) as error:
        raise UsageError(f"{path} is not {_form(path)}: {error}") from None
    if not isinstance(content, (ConfigParser, dict)):
        raise UsageError(f"{path} must hold an object (logging.config, dictionary schema), not {content!r:.40}")
    return content


def _form(path: str) -> str:
    return {".json": "JSON", ".yaml": "YAML", ".yml": "YAML", ".toml": "TOML"}.get(Path(path).suffix.lower(), "INI")


def _parse(text: str, path: str) -> object:
    form = _form(path)
    if form == "JSON":
        return json.loads(text)
    if form == "TOML":
        import tomllib  # here: hardly any file is one

        return tomllib.loads(text)
    if form == "YAML":
        return _yaml(text, path)
    parser = ConfigParser(interpolation=None)  # as fileConfig does: formats are full of %
    parser.read_string(text, path)
    return parser


def _yaml(text: str, path: str) -> object:
    try:
        yaml = importlib.import_module("yaml")
    except ImportError:
        raise UsageError(
            f"{path} is YAML, and PyYAML is not installed for this Python; install it, or use JSON"
        ) from None
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ValueError(str(error)) from None


def is_named(name: str) -> bool:
    """Whether a logger of this name was configured, or asked for."""
    return isinstance(logging.root.manager.loggerDict.get(name), logging.Logger)


def routed(log: Log, table: Mapping[str, Event], bound: Mapping[str, object]) -> Log:
    """A Log whose events go through our logger, if the file names that; else the same.

    A record's message is the event with its facts; `record.event` and `record.facts` have them apart.
    """
    if is_named(EVENTS_LOGGER):
        return through(EVENTS_LOGGER, table, bound, _message)
    for name in (ERROR_LOGGER, PARENT_LOGGER):
        if is_named(name):
            return through(name, table, bound, _as_uvicorn)
    return log


def through(
    name: str, table: Mapping[str, Event], bound: Mapping[str, object], message: Callable[[str, str, Facts], str]
) -> Log:
    """A Log whose events are records of the logger of this name."""
    logger = logging.getLogger(name)

    def log(event: str, /, **fields: object) -> None:
        tally(event, table[event].level)
        level = logging.getLevelNamesMapping()[table[event].level.upper()]
        if logger.isEnabledFor(level):
            facts = {**bound, **fields}
            text = message(event, table[event].level, facts)
            logger.log(level, "%s", text, extra={"event": event, "facts": facts})

    return log


def in_uvicorns_words(table: Mapping[str, Event]) -> Log:
    """A Log for a process whose log is uvicorn's loggers."""
    return through(ERROR_LOGGER, table, {}, _as_uvicorn)


def _as_uvicorn(event: str, level: str, facts: Facts) -> str:
    words = {name: fact for name, fact in facts.items() if name not in BLOCK_KEYS}
    return "\n".join((worded(UVICORN, {**words, "event": event, "level": level})[1], *_blocks(facts)))


def _blocks(facts: Facts) -> list[str]:
    return [str(facts[name]).rstrip() for name in BLOCK_KEYS if facts.get(name)]


def _message(event: str, _level: str, facts: Facts) -> str:
    """In one line, but for texts of many lines, which stand below."""
    words = [f"{name}={fact!r}" for name, fact in facts.items() if name not in BLOCK_KEYS and fact is not None]
    return "\n".join((" ".join((event, *words)), *_blocks(facts)))


class AccessLines:
    """The lines of an access log as records of our logger, one by one: each has its own instant."""

    batch_lines = 1

    logger_name = ACCESS_LOGGER

    def __init__(self) -> None:
        self.lines: list[str] = []
        self._logger = logging.getLogger(self.logger_name)

    def add(self, line: str) -> None:
        """A line, newline included."""
        self.lines.append(line)
        self.flush()

    def flush(self) -> None:
        """Hand on what is collected."""
        lines, self.lines[:] = tuple(self.lines), ()
        for line in lines:
            self._record(line.removesuffix("\n"))

    def _record(self, line: str) -> None:
        self._logger.info("%s", line)

    def reopen(self) -> None:
        """Nothing: handlers that watch their files are logging's own."""

    def close(self) -> None:
        self.flush()


class AccessRecords(AccessLines):
    """Lines in ACCESS_FORM (uvicorn_logging) as records of uvicorn's access logger, with the arguments of its own."""

    logger_name = UVICORN_ACCESS_LOGGER

    def _record(self, line: str) -> None:
        client, method, path, version, status = line.split(" ")
        self._logger.info(ACCESS_MESSAGE, "" if client == "-" else client, method, path, version, int(status))
