"""Lines that the daemon and its workers write to a real journal have the priorities of their levels."""

from __future__ import annotations

import json
import signal
from collections.abc import Mapping
from typing import Final

from tests.helpers.journal import entries, start_journal
from tests.helpers.units import Service

PRIORITIES: Final = {"debug": 7, "info": 6, "warning": 4, "error": 3}
"""Of syslog(3), which sd-daemon(3) takes as <N> at a line's beginning."""


def test_every_line_has_the_priority_of_its_level(service: Service) -> None:
    start_journal(service.machine)
    service.install(log_level="debug", log_format="json", drop_in="StandardError=journal")
    service.ctl("start")
    worker = service.get()[1][0]
    service.machine.run("kill", f"-{signal.SIGKILL.value}", worker)
    (service.directory / "app.py").write_text("raise LookupError('no database')\n")
    service.ctl("reload", check=False)
    service.ctl("stop")
    told: dict[str, set[int]] = {}
    for entry in entries(service.machine, service.unit):
        event = event_of(entry)
        if event:
            told.setdefault(str(event["level"]), set()).add(int(str(entry["PRIORITY"])))
    assert {"info", "error", "debug"} <= told.keys()
    assert told == {level: {PRIORITIES[level]} for level in told}


def event_of(entry: Mapping[str, object]) -> Mapping[str, object]:
    """The event that is a line's text; empty where it is something else's. No mark of a priority is left in it."""
    try:
        event: object = json.loads(str(entry["MESSAGE"]))
    except ValueError:
        return {}
    return event if isinstance(event, dict) else {}
