"""Lines in the form of gunicorn and uvicorn: their words where they have some, our event otherwise."""

from __future__ import annotations

import re

import pytest

from server_core.log import renderer
from server_core.log_lines import FORMS, GUNICORN, UVICORN
from supervisor_d.log import ALL_EVENTS


@pytest.mark.parametrize(
    ("form", "event", "wanted"),
    [
        ("uvicorn", {"event": "worker.spawned", "slot": 1, "pid": 7}, r"INFO:     Started server process \[7\]"),
        (
            "uvicorn",
            {"event": "socket.bound", "address": "[::1]:80", "fd": 3},
            r"INFO:     supervisor-d running on http://\[::1\]:80 \(Press CTRL\+C to quit\)",
        ),
        ("uvicorn", {"event": "fleet.ready", "count": 2}, "INFO:     fleet.ready count=2"),
        (
            "uvicorn",
            {"event": "request.failed", "level": "error", "path": "/", "traceback": "Traceback\n  x\x1b"},
            r"ERROR:    Exception in ASGI application\nTraceback\n  x\\x1b",
        ),
        (
            "gunicorn",
            {"event": "worker.hung", "level": "error", "pid": 7, "logger_pid": 5},
            r"\[\d{4}-\d\d-\d\d \d\d:\d\d:\d\d [+-]\d{4}\] \[5\] \[CRITICAL\] WORKER TIMEOUT \(pid:7\)",
        ),
        ("gunicorn", {"event": "worker.spawned", "pid": 7}, r"\[.*\] \[INFO\] Booting worker with pid: 7"),
        (
            "gunicorn",
            {"event": "worker.spawned", "pid": 7, "role": "zygote"},
            r".* \[INFO\] worker.spawned pid=7 role=zygote",
        ),
        ("gunicorn", {"event": "signal.received", "signal": "SIGHUP"}, r".* \[INFO\] Handling signal: hup"),
        ("gunicorn", {"event": "worker.crashed", "pid": 7}, r".* \[INFO\] worker.crashed pid=7"),
        (
            "gunicorn",
            {"event": "socket.bound", "address": "unix:/run/a", "logger_pid": 5},
            r".* Listening at: unix:/run/a \(5\)",
        ),
    ],
)
def test_a_line(form: str, event: dict[str, object], wanted: str) -> None:
    assert re.fullmatch(wanted, renderer(form)({"level": "info", **event}))


@pytest.mark.parametrize("table", [GUNICORN, UVICORN])
def test_each_line_is_of_an_event_that_there_is(table: dict[str, object]) -> None:
    assert [name for name in table if name not in ALL_EVENTS] == []


@pytest.mark.parametrize("form", FORMS)
def test_a_fatal_event_leaves_its_text_to_the_last_one(form: str) -> None:
    event = {"event": "worker.boot_failed", "level": "error", "is_fatal": True, "traceback": "Traceback"}
    assert "Traceback" not in renderer(form)(event)
