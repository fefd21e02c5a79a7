"""Lines of the log in the form of gunicorn's or uvicorn's, for what reads them: people's eyes, alarms, collectors.

An event that the peer has a line for is written in its words, with our name where it says its own; any other as its
name and its fields. A text of many lines, such as a traceback, stands below. Sources: what gunicorn 27 and uvicorn 0.54
print.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Final, NamedTuple

BLOCK_KEYS: Final = ("traceback", "stacks", "stack")
"""Fields that hold a text of many lines."""
_ALWAYS: Final = frozenset({"event", "level", "timestamp", "logger_pid"})

Event = Mapping[str, object]


class Line(NamedTuple):
    """What an event says: a text for str.format(), and a level where the peer's is another than ours."""

    text: str
    level: str = ""


UVICORN: Final[Mapping[str, Line]] = {
    "master.started": Line("Started parent process [{pid}]"),
    "socket.bound": Line("supervisor-d running on {url} (Press CTRL+C to quit)"),
    "worker.spawned": Line("Started server process [{pid}]"),
    "worker.ready": Line("Application startup complete."),
    "application.failed": Line("Application startup failed. Exiting."),
    "stop.requested": Line("Shutting down"),
    "worker.exited": Line("Finished server process [{pid}]"),
    "worker.crashed": Line("Child process [{pid}] died"),
    "worker.hung": Line("Child process [{pid}] is unresponsive and will be restarted"),
    "reload.started": Line("Reloading..."),
    "request.failed": Line("Exception in ASGI application"),
    "master.stopped": Line("Stopping parent process [{logger_pid}]"),
}

GUNICORN: Final[Mapping[str, Line]] = {
    "master.started": Line("Starting supervisor-d {version}"),
    "socket.bound": Line("Listening at: {url} ({logger_pid})"),
    "worker.spawned": Line("Booting worker with pid: {pid}"),
    "application.failed": Line("Worker failed to boot."),
    "worker.boot_failed": Line("Exception in worker process"),
    "signal.received": Line("Handling signal: {short_signal}"),
    "worker.draining": Line("Worker exiting (pid: {pid})"),
    "worker.hung": Line("WORKER TIMEOUT (pid:{pid})", "critical"),
    "worker.crashed": Line("Worker (pid:{pid}) exited with code {exit_code} (signal {signal})"),
    "reload.started": Line("Hang up: Master"),
    "request.failed": Line("Error handling request {path}"),
    "master.stopped": Line("Shutting down: Master"),
}


def described(event: Event) -> str:
    """An event without words of a peer: its name and its fields."""
    facts = {key: value for key, value in event.items() if key not in _ALWAYS and value is not None}
    return " ".join([str(event["event"]), *(f"{key}={value}" for key, value in facts.items())])


def url_of(address: str) -> str:
    """A listener as it is shown: what can be opened by a browser, or the Unix socket's name."""
    return address if address.startswith(("unix:", "@", "fd:")) else f"http://{address}"


def worded(table: Mapping[str, Line], event: Event) -> tuple[str, str]:
    """(level, text without its blocks) of an event."""
    line = table.get(str(event["event"]))
    level = str(event["level"])
    if line is None or "role" in event:  # a template is a process that the peer has not
        return level, described(event)
    known = {**event, "logger_pid": event.get("logger_pid") or os.getpid()}
    known["url"] = url_of(str(event.get("address", "")))
    known["short_signal"] = str(event.get("signal", "")).removeprefix("SIG").lower()
    try:
        return line.level or level, line.text.format_map(known)
    except KeyError:  # the event came without a field that it may have: say what is there
        return level, described(event)


def _take_blocks(event: dict[str, object]) -> list[str]:
    """The lines below an event, taken out of it; of one that `is_fatal` none: the event that ends the log has them."""
    blocks = [event.pop(key) for key in BLOCK_KEYS if key in event]
    return [line for block in blocks if block for line in str(block).rstrip().splitlines() if not event.get("is_fatal")]


def uvicorn(printable: Callable[[str], str]) -> Callable[[dict[str, object]], str]:
    """Lines as `INFO:     Application startup complete.`"""

    def render(event: dict[str, object]) -> str:
        lines = _take_blocks(event)
        level, text = worded(UVICORN, event)
        return "\n".join([f"{level.upper() + ':':<10}{printable(text)}", *map(printable, lines)])

    return render


def gunicorn(printable: Callable[[str], str]) -> Callable[[dict[str, object]], str]:
    """Lines as `[2026-11-29 06:00:00 +0000] [42] [INFO] Booting worker with pid: 43`."""

    def render(event: dict[str, object]) -> str:
        lines = _take_blocks(event)
        level, text = worded(GUNICORN, event)
        now = datetime.now().astimezone().strftime("%Y-%m-%d %H:%M:%S %z")
        pid = event.get("logger_pid") or os.getpid()
        return "\n".join([f"[{now}] [{pid}] [{level.upper()}] {printable(text)}", *map(printable, lines)])

    return render


FORMS: Final = {"uvicorn": uvicorn, "gunicorn": gunicorn}
