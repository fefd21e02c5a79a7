"""What `ctl` shows of a command's answer: one row a command; pure.

`events` and `health` have none: the first shows a stream, the second two requests (cli/ctl.py).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from supervisor_d.control.command_types import Sending
from supervisor_d.control.display import incident_text, render
from supervisor_d.control.display.safe_text import Object, text

Outcome = Callable[[Sending, Object, bool], str]
"""The lines for an answer; true: in colour."""


def reloaded(sent: Sending, told: Object, colour: bool) -> str:
    return render.verdict(told, colour=colour) if sent.waits else "reload asked for"


OUTCOMES: Final[Mapping[str, Outcome]] = {
    "status": lambda _, told, colour: render.status(told, colour=colour),
    "workers": lambda _, told, colour: render.workers(told, colour=colour),
    "config": lambda _, told, __: render.config(told),
    "explain workers": lambda _, told, __: render.capacity(told),
    "incidents": lambda _, told, __: incident_text.incidents(told),
    "reload": reloaded,
    "scale": lambda _, told, __: f"workers: {text(told, 'old')} -> {text(told, 'target')}",
    "stop": lambda _, __, ___: "stopping",
    "restart": lambda sent, told, _: f"slot {sent.slot}: {render.restarted(told)}",
    "dump": lambda _, told, __: incident_text.incident(told),
}
"""Command of `ctl` (Command.ctl) -> its text."""
