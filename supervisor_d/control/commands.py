"""The table of commands: what can be asked, what it may be asked with, and what becomes of it; pure.

Dispatch, the help of `ctl` and the table in contrib/docs/CONTROL.md are all read from COMMANDS, so none of them can
know a command that the others do not. A reading command renders the Snapshot. A writing one becomes a Fact with a
Ticket, and the policy answers it; nothing is decided here but whether the request is well-formed.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Final

from server_core.contract.spec import SLOTS_MAX
from supervisor_d.control import metrics
from supervisor_d.control.command_types import Asked, Call, Command, Field
from supervisor_d.control.messages import Refused, Reply, Request, json_reply
from supervisor_d.control.pages import Values, page
from supervisor_d.control.snapshot import (
    Snapshot,
    capacity_object,
    config_object,
    readiness_object,
    status_object,
    workers_object,
)
from supervisor_d.vocabulary import (
    DumpRequested,
    Fact,
    ReloadRequested,
    RestartRequested,
    ScaleRequested,
    Slot,
    StopRequested,
)


def read_status(view: Snapshot, _: Values) -> Reply:
    return json_reply(200, status_object(view))


def read_workers(view: Snapshot, _: Values) -> Reply:
    return json_reply(200, workers_object(view))


def read_config(view: Snapshot, _: Values) -> Reply:
    return json_reply(200, config_object(view))


def read_capacity(view: Snapshot, _: Values) -> Reply:
    return json_reply(200, capacity_object(view))


def read_events(view: Snapshot, values: Values) -> Reply:
    return page(view.events, "seq", values).reply("events")


def read_incidents(view: Snapshot, values: Values) -> Reply:
    return page(view.incidents, "id", values).reply("incidents")


def read_metrics(view: Snapshot, _: Values) -> Reply:
    return Reply(200, metrics.exposition(view).encode(), metrics.CONTENT_TYPE)


def read_health(view: Snapshot, _: Values) -> Reply:
    """The master answers: that is all there is to be healthy about."""
    return json_reply(200, {"healthy": True, "name": view.name, "pid": view.pid})


def read_readiness(view: Snapshot, _: Values) -> Reply:
    return json_reply(200 if view.status.accepts_traffic else 503, readiness_object(view))


def reload(asked: Asked) -> Fact:
    return ReloadRequested(asked.origin, asked.ticket, dry_run=bool(asked.values.get("dry_run", False)))


def scale(asked: Asked) -> Fact:
    if ("workers" in asked.values) == ("by" in asked.values):
        raise Refused(400, 'scale: give either "workers", the new number, or "by", the difference')
    force = bool(asked.values.get("force", False))
    if "by" in asked.values:
        return ScaleRequested(asked.origin, asked.values["by"], relative=True, ticket=asked.ticket, force=force)
    if asked.values["workers"] < 1:
        raise Refused(400, f"workers: must be at least 1, not {asked.values['workers']}")
    return ScaleRequested(asked.origin, asked.values["workers"], relative=False, ticket=asked.ticket, force=force)


def stop(asked: Asked) -> Fact:
    return StopRequested(asked.origin, fast=bool(asked.values.get("fast", False)), ticket=asked.ticket)


def restart(asked: Asked) -> Fact:
    return RestartRequested(asked.origin, asked.slot, asked.ticket)


def dump(asked: Asked) -> Fact:
    return DumpRequested(asked.origin, asked.slot, asked.ticket)


PAGED: Final = {
    "after": Field("integer", "the page behind this number: 0 at first, then each reply's `next`, while it has `more`"),
    "limit": Field("integer", "at most so many"),
}
WAIT: Final = Field("switch", "false: answer 202 at once instead of waiting for the outcome; default true")

COMMANDS: Final = (
    Command(
        "GET", "/v1/status", "status", "How the daemon and its workers are.", "200, the status object", read=read_status
    ),
    Command(
        "GET", "/v1/workers", "workers", "The workers alone.", "200, the status object's `slots`", read=read_workers
    ),
    Command(
        "GET",
        "/v1/config",
        "config",
        "Every setting in force, and where it came from.",
        "200, `settings`: name, value, source",
        read=read_config,
    ),
    Command(
        "GET",
        "/v1/capacity",
        "explain workers",
        "How many workers fit, and why: CPUs, quotas, memory.",
        "200: `auto`, the least of what `reasons` tell; cpus, memory, `room_for_more` workers as large as the largest",
        read=read_capacity,
    ),
    Command(
        "GET",
        "/v1/events",
        "events [--follow]",
        "The last events of the log.",
        "200, `events`, oldest first: the newest that fit into a page, `left_out` older ones; with follow=1 a stream: "
        "those, then each new one",
        query={"follow": Field("switch", "1: go on with each new event, as JSON lines"), **PAGED},
        read=read_events,
    ),
    Command(
        "GET",
        "/v1/incidents",
        "incidents",
        "Workers in trouble: their stacks and requests.",
        "200, `incidents`, oldest first: the newest that fit into a page, `left_out` older ones",
        query=PAGED,
        read=read_incidents,
    ),
    Command(
        "GET",
        "/metrics",
        "",
        "The figures for Prometheus.",
        "200, text exposition format",
        read=read_metrics,
        is_open=True,
    ),
    Command("GET", "/healthz", "health", "Whether the master answers.", "200", read=read_health, is_open=True),
    Command(
        "GET",
        "/readyz",
        "health --ready",
        "Whether requests may be sent to this daemon.",
        "200 if a worker is ready, no listener is lost and no stop was asked for, else 503",
        read=read_readiness,
        is_open=True,
    ),
    Command(
        "POST",
        "/v1/reload",
        "reload [--no-wait] [--dry-run]",
        "Replace all workers by a new generation, or none.",
        "200 committed (or proved), 500 rolled back, with the reason, 409 while stopping; a stream tells the progress",
        body={"dry_run": Field("switch", "true: boot one new worker, probe it, discard it"), "wait": WAIT},
        act=reload,
    ),
    Command(
        "POST",
        "/v1/scale",
        "scale [--force] N|+N|-N",
        "Change the number of workers.",
        "200, `old` and `target`; 409 if that many cannot be",
        body={
            "workers": Field("integer", "the new number, at least 1"),
            "by": Field("integer", "the difference, such as 2 or -2; the number never falls below 1"),
            "force": Field("switch", "true: beyond max-workers"),
        },
        act=scale,
    ),
    Command(
        "POST",
        "/v1/stop",
        "stop [--fast]",
        "Stop the daemon; graceful unless told otherwise.",
        "202, as soon as the stop has begun",
        body={"fast": Field("switch", "true: give up unfinished requests")},
        act=stop,
    ),
    Command(
        "POST",
        "/v1/workers/{slot}/restart",
        "restart SLOT",
        "Replace one worker, its replacement first.",
        "200 when the replacement is ready; 202 if the slot was in back-off, which is cut short; 404, 409, or 500 if "
        "it could not boot",
        body={"wait": WAIT},
        act=restart,
    ),
    Command(
        "POST",
        "/v1/workers/{slot}/dump",
        "dump SLOT",
        "The stacks and the unfinished requests of one worker, now.",
        "200, the incident; 404 or 409",
        act=dump,
    ),
)


OPEN_COMMANDS: Final = tuple(row for row in COMMANDS if row.is_open)
"""What admin-bind answers: reading alone, and no more than a probe or a scrape needs."""


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


def summary_of(word: str) -> str:
    """The help of `ctl WORD`; KeyError if the table has no such command."""
    for command in COMMANDS:
        if command.ctl.split(" ")[0] == word:
            return command.summary
    raise KeyError(word)
