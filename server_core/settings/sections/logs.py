"""The log on stderr and the access log."""

from __future__ import annotations

from server_core.records import dataclass
from server_core.settings.option import PATH, choice, option
from server_core.settings.value_types import ACCESS_LOG, ACCESS_LOG_FORMAT, LOG_LEVEL


@dataclass(frozen=True, kw_only=True)
class LogSettings:
    """A part of ServerSettings."""

    __slots__ = ()

    access_log: str = option(
        "off",
        kind=ACCESS_LOG,
        section="logs",
        help="One line a request: off, stderr, - for standard output, or a path, which is reopened at USR1.",
    )
    access_log_format: str = option(
        "auto",
        kind=ACCESS_LOG_FORMAT,
        section="logs",
        help="How a line of the access log looks; auto is as the log on stderr, else combined. See ACCESS_LOG.md.",
    )
    log_format: str = option(
        "auto",
        kind=choice("auto", "console", "json", "uvicorn", "gunicorn"),
        section="logs",
        reloads=False,
        help="auto is console on a terminal and JSON lines elsewhere; gunicorn and uvicorn are lines in their form.",
    )
    log_config: str = option(
        "",
        kind=PATH,
        section="logs",
        help="File that configures the application's logging: INI (fileConfig), .json, .yaml, .yml or .toml "
        "(dictConfig). Where it names the loggers supervisor_d and supervisor_d.access, the workers' events and the "
        "access log's lines go there; the master's stay.",
    )
    log_level: str = option("info", kind=LOG_LEVEL, section="logs", help="Least level that is written.")
