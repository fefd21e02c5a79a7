"""Events from a declared table, as JSON lines or for a console, always to stderr.

Both packages log through here; each declares its own events. An event that is not declared raises KeyError, so that
the table, and the page made from it, cannot be incomplete. Nothing a client sent can forge a line: JSON escapes it,
and the console renderer writes values by their repr.

structlog draws the console, and is loaded for one only: importing any of it imports all of it, asyncio and ssl too,
which takes 4 MB of a master that needs neither and 1 MB of each worker (CPython 3.11, structlog 25). A JSON line is
json.dumps() of the event; processors and bound loggers would add nothing to it.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Final, Protocol

from server_core import log_lines
from server_core.journald import is_journal, prioritised
from server_core.records import dataclass
from server_core.standard_error import StderrLogger

LEVELS: Final = {"debug": 10, "info": 20, "warning": 30, "error": 40}


@dataclass(frozen=True, slots=True)
class Event:
    """One row of an event table: level, the keys it carries, and what it means to an operator."""

    level: str
    keys: tuple[str, ...]
    meaning: str


REQUEST_KEYS: Final = (
    *("slot", "generation", "pid", "type", "client", "method", "target", "protocol", "status", "bytes", "duration_s"),
    *("complete", "close_code", "request_id", "referer", "user_agent"),
)

CERTIFICATE_KEYS: Final = ("setting", "path", "subject", "not_after", "days")

EVENTS: Final[Mapping[str, Event]] = {
    "server.started": Event("info", ("addresses", "pid", "loop", "http"), "A server without a supervisor listens."),
    "server.stopped": Event("info", ("pid",), "A server without a supervisor has stopped, lifespan included."),
    "application.imported": Event("debug", ("app", "duration_s"), "The application object was imported."),
    "application.exited": Event(
        "error", ("error", "traceback"), "Code outside a request tried to end the process, or stopped the event loop."
    ),
    "application.signal_failed": Event(
        "error",
        ("signal", "traceback"),
        "The handler that the application installed for a signal raised when it was called at the start of a drain.",
    ),
    "application.failed": Event("error", ("stage", "traceback"), "The application could not boot."),
    "lifespan.unsupported": Event("debug", ("app",), "The application does not know lifespan; serving without it."),
    "lifespan.shutdown_failed": Event("error", ("error",), "The application's lifespan shutdown failed."),
    "request.failed": Event(
        "error", ("method", "path", "request_id", "traceback"), "The application raised, or broke ASGI."
    ),
    "request.error_written": Event(
        "error", ("method", "path", "request_id", "text"), "A WSGI application wrote this to wsgi.errors."
    ),
    "thread.stuck": Event(
        "error",
        ("method", "path", "request_id", "duration_s", "busy", "threads", "queued", "oldest_s", "stack"),
        "A thread has run one request of a WSGI application for longer than `timeout`; how busy all are. Told once for"
        " each request; the supervisor has an incident of kind thread_stuck besides.",
    ),
    "application.detected": Event(
        "info", ("app", "interface"), "What `--interface auto` has found the application to be."
    ),
    "setting.unused": Event("warning", ("setting", "value", "reason"), "A setting was given that has no effect."),
    "request.refused": Event("debug", ("status", "reason", "client", "request_id"), "A request was refused."),
    "socket.altered": Event(
        "warning",
        ("address", "options", "pid"),
        "A process that holds this listener has changed it for all; what could be set again is, an option that could"
        " not has the reason with it. Told once for each option and worker.",
    ),
    "field.dropped": Event(
        "warning",
        ("name", "setting", "value", "is_last"),
        "A request field was left out for the _ in its name. Told once for each name and worker, for 32 names at most"
        " (is_last); with underscore-headers keep such fields reach the application.",
    ),
    "request.expired": Event(
        "warning",
        ("method", "path", "request_id", "duration_s", "thread_goes_on"),
        "A request passed request-timeout. thread_goes_on: its application is WSGI, whose thread cannot be ended: there"
        " is one fewer until it returns.",
    ),
    "request.abandoned": Event(
        "debug",
        ("method", "path", "request_id"),
        "A response under way was cancelled disconnect-grace after its client had gone.",
    ),
    "requests.limited": Event("warning", ("limit",), "limit-concurrency is reached: more requests are answered 503."),
    "connections.limited": Event(
        "warning", ("connections", "limit"), "limit-connections is reached: who comes next waits to be accepted."
    ),
    "descriptors.short": Event(
        "warning", ("connections", "descriptor"), "Hardly a descriptor is left: idle and slow connections make room."
    ),
    "tls.handshake_failed": Event("debug", ("error", "client"), "A client did not complete the TLS handshake."),
    "proxy.refused": Event(
        "warning",
        ("reason", "client", "times"),
        "Connections without a sound PROXY header were closed; told at most once a minute, with the latest.",
    ),
    "tls.certificate_expired": Event(
        "error", CERTIFICATE_KEYS, "A certificate has expired; it is served nevertheless."
    ),
    "tls.certificate_expiring": Event("warning", CERTIFICATE_KEYS, "A certificate expires within two weeks."),
    "accept.failed": Event("warning", ("error", "retry_s"), "Nobody could be accepted; tried again while it lasts."),
    "listener.abandoned": Event(
        "error",
        ("address", "waiting"),
        "The end, and so many were still in the accept queue, and are reset: no worker was ready yet, or none had a "
        "descriptor left, which the worker says as well (over a Unix socket: at least so many).",
    ),
    "worker.orphaned": Event("warning", ("slot", "pid", "timeout_s"), "The master is gone; this worker drains."),
    "fork.returned": Event(
        "error",
        ("pid", "worker_pid"),
        "A process that the application forked went on as a second worker, and was ended: it must end by itself.",
    ),
    "log.lost": Event("warning", ("lines",), "Lines before this one were lost: nobody read standard error in time."),
    "request.ended": Event("info", REQUEST_KEYS, "A line of the access log in JSON; it has its own place and format."),
    "access_log.failed": Event("error", ("path", "error"), "The access log cannot be written; tried again."),
    "access_log.lost": Event("warning", ("path", "lines"), "Lines of the access log were lost: they had no room."),
}


TALLY: Final = {"warning": 0, "error": 0, "exception": 0}
"""How much this process has logged since its log was set up; `exception` are failed requests, which are no `error`."""


def tally(event: str, level: str) -> None:
    """Count an event by what it is."""
    kind = "exception" if event == "request.failed" else level
    if kind in TALLY:
        TALLY[kind] += 1


class Log(Protocol):
    """What code that logs is given: an event by name and its facts as keys."""

    def __call__(self, event: str, /, **fields: object) -> None: ...


def setup(*, form: str, level: str, table: Mapping[str, Event], bound: Mapping[str, object] | None = None) -> Log:
    """A Log that writes this table's events at `level` and above; `form` is one of log-format's."""
    render = renderer(form)
    minimum = LEVELS[level]
    logger = StderrLogger()
    always = dict(bound or {})
    to_journal = is_journal(2, os.environ)
    TALLY.update(dict.fromkeys(TALLY, 0))

    def write(event: str, level: str, fields: Mapping[str, object]) -> None:
        if LEVELS[level] >= minimum:
            text = render({**always, "level": level, **fields, "event": event})
            logger.msg(prioritised(text, level) if to_journal else text)

    def log(event: str, /, **fields: object) -> None:
        if logger.lost and logger.has_room():
            lost, logger.lost = logger.lost, 0
            write("log.lost", "warning", {"lines": lost})
        tally(event, table[event].level)
        write(event, table[event].level, fields)

    return log


def renderer(form: str) -> Callable[[dict[str, object]], str]:
    """What makes a line of an event, by log-format's word."""
    if form in log_lines.FORMS:
        return log_lines.FORMS[form](printable)
    return _console() if form == "console" or (form == "auto" and is_terminal()) else json_line


def json_line(event: dict[str, object]) -> str:
    """The event with when and by whom: lines of master and workers go to one stream."""
    event["timestamp"] = datetime.now(UTC).isoformat().replace("+00:00", "Z")
    event.setdefault("logger_pid", os.getpid())
    return json.dumps(event, default=str)


def _console() -> Callable[[dict[str, object]], str]:
    """Renders for a console: a text of many lines stands below its event, indented, so that no line of it is one.

    A text that another event has just shown is not shown again: its last line stands for it. The same event's is shown
    each time: a second request that fails in the same way is news. The text of an event that `is_fatal` is left to the
    event that ends the log (worker.boot_failed to application.failed), so that it stands there once, and last.
    """
    from structlog.dev import ConsoleRenderer  # here: see above

    # 28 columns for the event, by position: structlog 25 gave the parameter another name.
    draw = ConsoleRenderer(28, colors=is_terminal(), sort_keys=False)

    shown: tuple[object, list[str]] = (None, [])

    def render(event: dict[str, object]) -> str:
        nonlocal shown
        blocks = [event.pop(key) for key in log_lines.BLOCK_KEYS if key in event]
        if event.get("is_fatal"):
            blocks = []
        lines = [line for block in blocks for line in str(block).rstrip().splitlines()]
        if lines and shown[1] == lines and shown[0] != event["event"]:
            lines = lines[-1:]
        elif lines:
            shown = event["event"], lines
        # structlog takes the repr of a text with white space only, and there are escape sequences without any.
        known = {name: fact for name, fact in event.items() if fact is not None}
        facts = {name: printable(fact) if isinstance(fact, str) else fact for name, fact in known.items()}
        facts["timestamp"] = datetime.now().isoformat()
        return "\n    ".join((draw(None, "", facts), *map(printable, lines)))

    return render


def printable(line: str) -> str:
    """The line with what could steer a terminal written as an escape."""
    return "".join(sign if sign.isprintable() or sign == "\t" else repr(sign)[1:-1] for sign in line)


def is_terminal() -> bool:
    try:
        return os.isatty(2)
    except OSError:  # descriptor 2 is closed
        return False
