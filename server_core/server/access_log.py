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
    lines = _logger(settings) or Sink(settings.access_log, log)
    return AccessLog(chosen(settings), lines, place or Place(None, None, os.getpid()))


def _logger(settings: ServerSettings) -> Destination | None:
    """What hands lines to the logger that log-config names for them; None if it names none."""
    if not settings.log_config:
        return None
    from server_core import log_config  # here: few have such a file

    return log_config.AccessLines() if log_config.is_named(log_config.ACCESS_LOGGER) else None


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
