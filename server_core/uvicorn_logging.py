"""uvicorn's loggers as applications know them: its formatters by their names, and access records with its arguments.

A configuration of logging that was written for uvicorn names `uvicorn.logging.DefaultFormatter` and `AccessFormatter`,
and an application filters `uvicorn.access` by `record.args`: (client_addr, method, full_path, http_version, status).
Both work without uvicorn. Where it is installed, its own formatters are used. Source: uvicorn 0.54.
"""

from __future__ import annotations

import contextlib
import http
import importlib.util
import logging
import sys
from collections.abc import Iterator, Mapping
from copy import copy
from types import ModuleType
from typing import ClassVar, Final, Literal, TextIO

ERROR_LOGGER: Final = "uvicorn.error"
PARENT_LOGGER: Final = "uvicorn"
ACCESS_LOGGER: Final = "uvicorn.access"

ACCESS_FORM: Final = "%(client_addr)s %(method)s %(full_path)s %(http_version)s %(status)s"
"""The format of lines for AccessRecords (log_config). No atom can hold a space: what a client sends is escaped."""
ACCESS_MESSAGE: Final = '%s - "%s %s HTTP/%s" %d'
ACCESS_LINE: Final = '%(levelprefix)s %(client_addr)s - "%(request_line)s" %(status_code)s'

TRACE: Final = 5
_BLUE, _CYAN, _GREEN, _YELLOW, _RED, _WHITE = 34, 36, 32, 33, 31, 97
_BRIGHT_RED: Final = 91


def _painted(text: str, colour: int) -> str:
    return f"\x1b[{colour}m{text}\x1b[0m"


class ColourizedFormatter(logging.Formatter):
    """Gives a format `%(levelprefix)s`, and paints it where colours are wanted: by default on a terminal."""

    level_colours: ClassVar[Mapping[int, int]] = {
        TRACE: _BLUE,
        logging.DEBUG: _CYAN,
        logging.INFO: _GREEN,
        logging.WARNING: _YELLOW,
        logging.ERROR: _RED,
        logging.CRITICAL: _BRIGHT_RED,
    }

    def __init__(
        self,
        fmt: str | None = None,
        datefmt: str | None = None,
        style: Literal["%", "{", "$"] = "%",
        use_colors: bool | None = None,
    ) -> None:
        super().__init__(fmt, datefmt, style)
        self.use_colors = use_colors if isinstance(use_colors, bool) else self.should_use_colors()

    def should_use_colors(self) -> bool:
        """Whether to paint where it was not said."""
        return sys.stdout.isatty()

    def formatMessage(self, record: logging.LogRecord) -> str:
        level = record.levelname
        padding = " " * (8 - len(level))
        if self.use_colors and record.levelno in self.level_colours:
            level = _painted(level, self.level_colours[record.levelno])
        known = copy(record)
        known.levelprefix = f"{level}:{padding}"
        return super().formatMessage(known)


class DefaultFormatter(ColourizedFormatter):
    """For what goes to standard error."""

    def should_use_colors(self) -> bool:
        return sys.stderr.isatty()


class AccessFormatter(ColourizedFormatter):
    """Gives a format `%(client_addr)s`, `%(request_line)s` and `%(status_code)s`."""

    def formatMessage(self, record: logging.LogRecord) -> str:
        assert isinstance(record.args, tuple)
        client_addr, method, full_path, http_version, status = record.args
        line = f"{method} {full_path} HTTP/{http_version}"
        known = copy(record)
        known.client_addr = client_addr
        known.request_line = f"\x1b[1m{line}\x1b[0m" if self.use_colors else line
        known.status_code = self.get_status_code(int(str(status)))
        return super().formatMessage(known)

    def get_status_code(self, status: int) -> str:
        """The status with its phrase."""
        try:
            told = f"{status} {http.HTTPStatus(status).phrase}"
        except ValueError:
            told = f"{status} "
        colour = {1: _WHITE, 2: _GREEN, 3: _YELLOW, 4: _RED, 5: _BRIGHT_RED}.get(status // 100)
        return _painted(told, colour) if self.use_colors and colour else told


@contextlib.contextmanager
def standing_in() -> Iterator[None]:
    """While it lasts, `uvicorn.logging` can be imported: ours, unless uvicorn is installed.

    A module that stayed would make others believe that uvicorn is there.
    """
    if importlib.util.find_spec(PARENT_LOGGER) is not None:
        yield
        return
    package, module = ModuleType("uvicorn"), ModuleType("uvicorn.logging")
    package.logging = module  # type: ignore[attr-defined]  # as an import of the real one would set it
    for kind in (ColourizedFormatter, DefaultFormatter, AccessFormatter):
        setattr(module, kind.__name__, kind)
    names = {"uvicorn": package, "uvicorn.logging": module}
    sys.modules.update(names)
    try:
        yield
    finally:
        for name in names:
            sys.modules.pop(name, None)


class DefaultHandler(logging.StreamHandler[TextIO]):
    """A handler that a logger of uvicorn's has where nothing was configured."""

    def __init__(self, stream: TextIO, formatter: logging.Formatter) -> None:
        super().__init__(stream)
        self.setFormatter(formatter)
        self._first = formatter

    @property
    def is_untouched(self) -> bool:
        return self.formatter is self._first and not self.filters and self.level == logging.NOTSET


def install_defaults(level: str) -> None:
    """Give uvicorn's loggers the handlers that they have there, before the application is imported.

    Applications write to `uvicorn` and `uvicorn.error`, and change the formatter of `uvicorn.access`'s first handler.
    """
    for name, handler in (
        (PARENT_LOGGER, DefaultHandler(sys.stderr, DefaultFormatter("%(levelprefix)s %(message)s"))),
        (ACCESS_LOGGER, DefaultHandler(sys.stdout, AccessFormatter(ACCESS_LINE))),
    ):
        logger = logging.getLogger(name)
        logger.handlers[:] = [handler]
        logger.propagate = False
        logger.setLevel(level.upper() if name == PARENT_LOGGER else logging.INFO)


def is_access_logger_changed() -> bool:
    """Whether the application has done anything to uvicorn's access logger, so that its records must go there."""
    logger = logging.root.manager.loggerDict.get(ACCESS_LOGGER)
    if not isinstance(logger, logging.Logger):
        return False
    is_open = logger.isEnabledFor(logging.INFO)
    if not logger.handlers:
        return bool(logger.filters) or not is_open
    return bool(logger.filters) or not is_open or not all(map(_is_default, logger.handlers))


def _is_default(handler: logging.Handler) -> bool:
    return isinstance(handler, DefaultHandler) and handler.is_untouched
