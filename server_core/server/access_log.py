"""The access log that the settings want, and what it asks of those who write responses."""

from __future__ import annotations

import importlib
import os
from typing import Final

from server_core.access_log.formats import AUTO
from server_core.access_log.log import AccessLog, Destination
from server_core.access_log.record import Place
from server_core.access_log.sink import Sink
from server_core.http1.writer import H1Writer, NotingWriter
from server_core.log import Log, is_terminal
from server_core.settings.declaration import ServerSettings

OFF: Final = "off"


def open_log(settings: ServerSettings, log: Log, place: Place | None = None) -> AccessLog | None:
    """The access log that the settings want, None if it is off; `place` None is a process without a supervisor."""
    if settings.access_log == OFF:
        return None
    form, lines = _logger(settings) or (chosen(settings), Sink(settings.access_log, log))
    return AccessLog(form, lines, place or Place(None, None, os.getpid()))


def _logger(settings: ServerSettings) -> tuple[str, Destination] | None:
    """What hands lines to a logger, and their format; None if neither log-config nor the application wants one.

    Where lines are in uvicorn's form, what the application does to uvicorn's access logger counts: a filter there
    mostly leaves health checks out. Untouched, the lines go the short way, without a record for each.
    """
    if not settings.log_config and settings.access_log_format != "uvicorn":
        return None
    from server_core import log_config, uvicorn_logging  # here: most have neither

    if settings.log_config and log_config.is_named(log_config.ACCESS_LOGGER):
        return chosen(settings), log_config.AccessLines()
    theirs = (uvicorn_logging.ACCESS_LOGGER, uvicorn_logging.PARENT_LOGGER)  # a parent gets what its child writes
    is_theirs = (
        any(map(log_config.is_named, theirs)) if settings.log_config else uvicorn_logging.is_access_logger_changed()
    )
    if is_theirs:
        return uvicorn_logging.ACCESS_FORM, log_config.AccessRecords()
    return None


def choose(settings: ServerSettings) -> None:
    """Import what reads formats, if there will be lines; it takes 5 ms.

    For before the application is imported, as parsers.choose() is.
    """
    if settings.access_log != OFF:
        importlib.import_module("server_core.access_log.format")


def chosen(settings: ServerSettings) -> str:
    """The format, auto decided: on standard error lines look like those of the log they stand among."""
    if settings.access_log_format != AUTO:
        return settings.access_log_format
    if settings.access_log != "stderr":
        return "combined"
    if settings.log_format == AUTO:
        return "console" if is_terminal() else "json"
    return settings.log_format


def writer_for(access_log: AccessLog | None) -> type[H1Writer]:
    """What connections write responses with."""
    return NotingWriter if access_log is not None and access_log.reads_sent else H1Writer
