"""Which row of the table of commands a request fits, and its values; pure."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from server_core.contract.scoreboard import SLOTS_MAX
from supervisor_d.control.command_types import Call, Command, Field
from supervisor_d.control.commands import COMMANDS
from supervisor_d.control.messages import Refused, Request
from supervisor_d.vocabulary import Slot


def understand(request: Request, table: Sequence[Command] = COMMANDS) -> Call:
    """The call that a request makes; Refused with 404, 405 or 400 if it makes none."""
    there = {row.method: (row, slot) for row in table if (slot := match(row.path, request.path)) is not None}
    if not there:
        known = ", ".join(row.path for row in table)
        raise Refused(404, f"no such path: {request.path[:200]}; there are {known}")
    if request.method not in there:
        allowed = ", ".join(there)
        raise Refused(405, f"{request.path}: {request.method} is not offered, only {allowed}", allow=allowed)
    command, slot = there[request.method]
    values = checked(command.body, request.body, f"{command.path}: the body")
    values |= checked(command.query, query_values(command.query, request.query), f"{command.path}: the query")
    return Call(command, slot, values, request.wants_stream)


def match(pattern: str, path: str) -> Slot | None:
    """None if the path is not of the pattern; else the slot it names, 0 if the pattern names none."""
    before, hole, after = pattern.partition("{slot}")
    if not hole:
        return Slot(0) if path == pattern else None
    if not (path.startswith(before) and path.endswith(after)):
        return None
    text = path[len(before) : len(path) - len(after)]
    if "/" in text or not text:
        return None
    if not (text.isascii() and text.isdigit() and len(text) <= 4 and 1 <= int(text) < SLOTS_MAX):
        raise Refused(404, f"no such worker: a slot is a number from 1 to {SLOTS_MAX - 1}, not {text[:40]!r}")
    return Slot(int(text))


def checked(fields: Mapping[str, Field], given: Mapping[str, object], where: str) -> dict[str, int]:
    """The given values by name; Refused names the first key that is unknown or of the wrong type."""
    values: dict[str, int] = {}
    for name, value in given.items():
        if name not in fields:
            accepted = f"it may hold {', '.join(fields)}" if fields else "it must be empty"
            raise Refused(400, f"{where} holds an unknown key {name[:80]!r}; {accepted}")
        values[name] = fields[name].parse(name, value)
    return values


def query_values(fields: Mapping[str, Field], query: Mapping[str, str]) -> dict[str, object]:
    """A query's texts as JSON would have them: 1 and true, 0 and false, or a number where one is wanted."""
    words: Mapping[str, object] = {"1": True, "true": True, "0": False, "false": False}
    values: dict[str, object] = {}
    for name, text in query.items():
        if name in fields and fields[name].kind == "integer":
            values[name] = int(text) if re.fullmatch(r"-?[0-9]{1,15}", text) else text
        else:
            values[name] = words.get(text.lower(), text)
    return values
