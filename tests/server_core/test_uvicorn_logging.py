"""uvicorn's loggers and formatters without uvicorn: what configurations name, and what filters read."""

from __future__ import annotations

import importlib.util
import io
import json
import logging
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from server_core import uvicorn_logging
from server_core.log_config import AccessRecords
from server_core.uvicorn_logging import ACCESS_LOGGER, AccessFormatter, DefaultFormatter

ARGS = ("127.0.0.1:55114", "GET", "/a?b=c", "1.1", 200)


@pytest.fixture
def access() -> Iterator[logging.Logger]:
    """uvicorn's access logger, and all as it was afterwards."""
    loggers = [logging.getLogger(name) for name in (ACCESS_LOGGER, "uvicorn")]
    uvicorn_logging.install_defaults("info")
    yield loggers[0]
    for logger in loggers:
        logger.handlers[:], logger.filters[:], logger.propagate = [], [], True
        logger.setLevel(logging.NOTSET)


def record(level: int = logging.INFO, message: str = "said", args: tuple[object, ...] = ()) -> logging.LogRecord:
    return logging.LogRecord("uvicorn", level, "", 0, message, args, None)


@pytest.mark.parametrize(
    ("level", "use_colors", "line"),
    [
        (logging.INFO, False, "INFO:     said"),
        (logging.WARNING, False, "WARNING:  said"),
        (logging.CRITICAL, False, "CRITICAL: said"),
        (logging.INFO, True, "\x1b[32mINFO\x1b[0m:     said"),
        (33, True, "Level 33: said"),
    ],
)
def test_a_levelprefix_is_as_wide_as_the_longest_level(level: int, use_colors: bool, line: str) -> None:
    assert DefaultFormatter("%(levelprefix)s %(message)s", use_colors=use_colors).format(record(level)) == line


@pytest.mark.parametrize(
    ("status", "told"), [(200, "200 OK"), (404, "404 Not Found"), (599, "599 "), ("101", "101 Switching Protocols")]
)
def test_an_access_line_is_uvicorns(status: object, told: str) -> None:
    formatter = AccessFormatter(uvicorn_logging.ACCESS_LINE, use_colors=False)
    line = formatter.format(record(args=(*ARGS[:4], status), message="%s %s %s %s %s"))
    assert line == f'INFO:     127.0.0.1:55114 - "GET /a?b=c HTTP/1.1" {told}'


def test_colours_are_for_a_terminal_unless_they_are_asked_for() -> None:
    assert AccessFormatter().use_colors is sys.stdout.isatty()
    painted = AccessFormatter("%(request_line)s %(status_code)s", use_colors=True)
    assert painted.format(record(args=ARGS, message="%s" * 5)) == (
        "\x1b[1mGET /a?b=c HTTP/1.1\x1b[0m \x1b[32m200 OK\x1b[0m"
    )


def test_a_line_becomes_a_record_with_uvicorns_arguments(access: logging.Logger) -> None:
    seen: list[logging.LogRecord] = []

    def see(record: logging.LogRecord) -> bool:
        seen.append(record)
        return True

    access.addFilter(see)
    lines = AccessRecords()
    access.handlers[0].setStream(io.StringIO())  # type: ignore[attr-defined]  # a StreamHandler
    lines.add("127.0.0.1:55114 GET /a?b=c 1.1 200\n")
    lines.add("- POST / 1.0 404\n")
    lines.close()
    assert [record.args for record in seen] == [ARGS, ("", "POST", "/", "1.0", 404)]
    assert seen[0].getMessage() == '127.0.0.1:55114 - "GET /a?b=c HTTP/1.1" 200'


def test_records_are_made_only_where_the_application_changed_the_logger(access: logging.Logger) -> None:
    uvicorn_logging.install_defaults("info")  # here: pytest adds handlers of its own when a test begins
    assert not uvicorn_logging.is_access_logger_changed()
    access.handlers[0].setFormatter(logging.Formatter("%(message)s"))
    assert uvicorn_logging.is_access_logger_changed()


@pytest.mark.parametrize("change", ["filter", "handler", "level", "empty"])
def test_any_change_counts(access: logging.Logger, change: str) -> None:
    uvicorn_logging.install_defaults("info")
    if change == "filter":
        access.addFilter(lambda _: True)
    elif change == "handler":
        access.addHandler(logging.NullHandler())
    elif change == "level":
        access.setLevel(logging.WARNING)
    else:
        access.handlers[:] = [logging.NullHandler()]
    assert uvicorn_logging.is_access_logger_changed()


PROGRAM = """
import importlib.util, logging, sys
from server_core import log_config
from server_core.log import EVENTS
log_config.apply(sys.argv[1])
log = log_config.routed(lambda event, /, **fields: print("ELSEWHERE", event), EVENTS, {"slot": 3})
log("request.failed", method="GET", path="/", request_id=None, traceback="Traceback\\n  boom\\n")
log("application.exited", error="no", traceback="")
if importlib.util.find_spec("uvicorn") is None:
    print("uvicorn" in sys.modules, "uvicorn.logging" in sys.modules)
else:
    print(False, False)
"""


@pytest.mark.parametrize("named", ["uvicorn", "uvicorn.error"])
def test_a_configuration_for_uvicorn_is_taken_as_it_is(tmp_path: Path, named: str) -> None:
    path = tmp_path / "logging.json"
    form = {"()": "uvicorn.logging.DefaultFormatter", "fmt": "%(levelprefix)s %(message)s", "use_colors": False}
    handler = {"class": "logging.StreamHandler", "stream": "ext://sys.stdout", "formatter": "default"}
    loggers = {named: {"level": "INFO", "handlers": ["out"], "propagate": False}}
    document = {"version": 1, "formatters": {"default": form}, "handlers": {"out": handler}, "loggers": loggers}
    path.write_text(json.dumps(document))
    command = [sys.executable, "-c", PROGRAM, str(path)]
    ran = subprocess.run(command, capture_output=True, text=True, check=False, cwd=Path(__file__).parents[2])
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.splitlines() == [
        "ERROR:    Exception in ASGI application",
        "Traceback",
        "  boom",
        "ERROR:    application.exited slot=3 error=no",
        "False False",
    ]


@pytest.mark.skipif(importlib.util.find_spec("uvicorn") is not None, reason="uvicorn is installed: its own is used")
def test_nothing_stands_in_for_uvicorn_afterwards() -> None:
    with uvicorn_logging.standing_in():
        assert importlib.import_module("uvicorn.logging").AccessFormatter is AccessFormatter
    assert importlib.util.find_spec("uvicorn") is None
