"""The table of commands: what can be asked, what it may be asked with, and what becomes of it; pure.

Routing (routing.py), the commands of `ctl` (client/derived_commands.py) and the table in contrib/docs/CONTROL.md are
derived from COMMANDS, so none of them has a command that the others lack. A reading command renders the Snapshot. A
writing one becomes a Fact with a Ticket, and the policy answers it; this package only decides whether the request is
well-formed.

A new writing command is a row here, its fact (vocabulary/facts.py), a row of policy/fact_table.py with its handler, and
its text at a terminal (display/outcomes.py).
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping
from typing import Final

from supervisor_d.control import metrics
from supervisor_d.control.command_types import Argument, Asked, Command, Field
from supervisor_d.control.messages import Refused, Reply, json_reply
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


def workers_wanted(text: str) -> Mapping[str, object]:
    """A number of workers, or with its sign a difference, as keys of the body; ValueError."""
    if not re.fullmatch(r"[+-]?[0-9]{1,9}", text):
        raise ValueError(f"must be N, +N or -N, not {text!r}")
    return {"by" if text[0] in "+-" else "workers": int(text)}


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
WAIT_OR_NOT: Final = dataclasses.replace(
    WAIT, flag="--no-wait", flag_gives=False, flag_help="Do not wait for the outcome."
)
FOLLOW: Final = Field(
    "switch",
    "1: go on with each new event, as JSON lines",
    flag="--follow",
    flag_help="Go on with each new event until interrupted.",
)
DRY_RUN: Final = Field(
    "switch",
    "true: boot one new worker, probe it, discard it",
    flag="--dry-run",
    flag_help="Boot one new worker, probe it, discard it.",
    needs_wait=True,
)

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
        "events",
        "The last events of the log.",
        "200, `events`, oldest first: the newest that fit into a page, `left_out` older ones; with follow=1 a stream: "
        "those, then each new one",
        query={"follow": FOLLOW, **PAGED},
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
        "reload",
        "Replace all workers by a new generation, or none.",
        "200 committed (or proved), 500 rolled back, with the reason, 409 while stopping; a stream tells the progress",
        body={"wait": WAIT_OR_NOT, "dry_run": DRY_RUN},
        act=reload,
        streams=True,
        has_object=False,
    ),
    Command(
        "POST",
        "/v1/scale",
        "scale",
        "Change the number of workers.",
        "200, `old` and `target`; 409 if that many cannot be",
        body={
            "workers": Field("integer", "the new number, at least 1"),
            "by": Field("integer", "the difference, such as 2 or -2; the number never falls below 1"),
            "force": Field("switch", "true: beyond max-workers", flag="--force", flag_help="Beyond max-workers."),
        },
        act=scale,
        argument=Argument("N|+N|-N", workers_wanted),
        has_object=False,
    ),
    Command(
        "POST",
        "/v1/stop",
        "stop",
        "Stop the daemon; graceful unless told otherwise.",
        "202, as soon as the stop has begun",
        body={
            "fast": Field(
                "switch",
                "true: give up unfinished requests",
                flag="--fast",
                flag_help="Give up unfinished requests.",
            )
        },
        act=stop,
        has_object=False,
    ),
    Command(
        "POST",
        "/v1/workers/{slot}/restart",
        "restart",
        "Replace one worker, its replacement first.",
        "200 when the replacement is ready; 202 if the slot was in back-off, which is cut short; 404, 409, or 500 if "
        "it could not boot",
        body={"wait": WAIT},
        act=restart,
        has_object=False,
    ),
    Command(
        "POST",
        "/v1/workers/{slot}/dump",
        "dump",
        "The stacks and the unfinished requests of one worker, now.",
        "200, the incident; 404 or 409",
        act=dump,
    ),
)


OPEN_COMMANDS: Final = tuple(row for row in COMMANDS if row.is_open)
"""What admin-bind answers: reading alone, and no more than a probe or a scrape needs."""


def command_of(ctl: str) -> Command:
    """The row of a command of `ctl`; KeyError if the table has none."""
    for command in COMMANDS:
        if command.ctl == ctl:
            return command
    raise KeyError(ctl)
