"""Incidents as text for a person at a terminal; pure, and escaped as all of render.py is."""

from __future__ import annotations

from supervisor_d.control.display.safe_text import Object, children, indented, text
from supervisor_d.control.display.terminal import duration, printable


def incidents(told: Object) -> str:
    """`ctl incidents`, oldest first, so that the newest stands last, above the prompt."""
    return "\n\n".join(incident(row) for row in children(told, "incidents")) or "no incidents"


def incident(told: Object) -> str:
    """One incident: what, which worker, where its main thread stood, its requests, all its stacks."""
    if told.get("kind") == "master_fault":
        return fault(told)
    silence = f", silent for {duration(told['silent_s'])}" if told.get("silent_s") else ""  # a dump has none
    lines = [
        f"incident {text(told, 'id')}: {text(told, 'kind')}{silence}",
        f"  worker     slot {text(told, 'slot')}, pid {text(told, 'pid')}, generation {text(told, 'generation')}",
        f"  at         {text(told, 'at')}",
    ]
    if told.get("reason"):
        lines.append(f"  reason     {text(told, 'reason')}")
    stacks = str(told.get("stacks") or "")
    if where(stacks):
        lines.append(f"  where      {printable(where(stacks))}")
    requests = children(told, "in_flight")
    lines.append(f"  requests   {len(requests) or 'none'} in flight")
    lines += [
        f"             {text(row, 'method')} {text(row, 'path')} for {duration(row.get('age_s'))}" for row in requests
    ]
    return "\n".join([*lines, *(indented(stacks) or ["  no stacks: the process could not write them"])])


def fault(told: Object) -> str:
    """A failure of the master's own work: what failed, and its traceback."""
    lines = [
        f"incident {text(told, 'id')}: {text(told, 'kind')}",
        f"  master     pid {text(told, 'pid')}",
        f"  at         {text(told, 'at')}",
        f"  failed     {text(told, 'reason')}",
    ]
    return "\n".join([*lines, *indented(str(told.get("stacks") or ""))])


def where(stacks: str) -> str:
    """The innermost frame of the main thread, which runs the event loop; empty if the text has no frames.

    faulthandler writes threads newest first, so the main thread is the last, and each thread's innermost frame first.
    """
    found = ""
    first_of_thread = False
    for line in stacks.splitlines():
        if "most recent call first" in line:
            first_of_thread = True
        elif first_of_thread and line.startswith("  File "):
            found, first_of_thread = line.strip(), False
    return found
