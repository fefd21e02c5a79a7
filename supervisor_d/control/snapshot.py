"""What the reading commands may see, and how it looks as JSON; pure.

A `Snapshot` is taken once per request; nothing here can reach into a slot or a process. Field names of the objects are
an interface (contrib/docs/CONTROL.md): fields may be added, never renamed. Durations are seconds as numbers, sizes are
bytes, and points in time, which only people read, are ISO 8601 in UTC: a monotonic instant means nothing outside.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import field
from datetime import UTC, datetime

from server_core.contract.figures import Figures
from server_core.contract.spec import ListenerSpec
from server_core.records import dataclass
from supervisor_d.settings.values.identity import Identity
from supervisor_d.vocabulary import Instant, Origin, Pid, Slot
from supervisor_d.vocabulary.status import LastExit, LastReload, ReloadStatus, SlotStatus, Status


@dataclass(frozen=True, slots=True)
class ConfigRow:
    """One setting as it is in force: `value` as it would be written, `source` says where it came from."""

    name: str
    value: str
    source: str


@dataclass(frozen=True, slots=True)
class Capacity:
    """How many workers fit: the CPUs with the reasons for their number, and what memory is left (None: no limit)."""

    cpus: int = 1
    reasons: tuple[str, ...] = ()
    memory: Mapping[str, int] | None = None
    """`limit_bytes`, `used_bytes`, and `spare_bytes` until it counts as nearly used up."""


@dataclass(frozen=True, slots=True)
class Forking:
    """How the newest generation's workers come to be where they are to be forked."""

    generation: int
    pid: Pid | None
    """The template's; None while it is made, once it has ended, or if workers are not forked."""
    refusal: str | None
    """Why workers are not forked."""
    saved_bytes: Callable[[], int | None] = lambda: None
    """Counts the memory that the forked workers share and would each have otherwise, less what the template takes; None
    if unknown. Only where it is shown: a look at each worker's pages takes 0.6 ms, and no probe should pay for it."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """One moment of the daemon. `now` and `wall` are the same moment, monotonic and since the epoch.

    `figures` holds a slot's scoreboard record while its process is alive; once it is gone, its counters move to
    `retired` (so they are counted once, and totals never fall). `events` and `incidents` are the rings, oldest first;
    `event_counts` says how often each event happened since the start, whether or not the log level wrote it.
    """

    name: str
    version: str
    app: str
    pid: Pid
    started_at: Instant
    now: Instant
    wall: float
    status: Status
    figures: Mapping[Slot, Figures] = field(default_factory=dict)
    retired: Figures = field(default_factory=Figures)
    rss_bytes: Mapping[Slot, int] = field(default_factory=dict)
    listeners: tuple[ListenerSpec, ...] = ()
    identity: Identity | None = None
    """What workers are."""
    master_uid: int = 0
    config: tuple[ConfigRow, ...] = ()
    capacity: Capacity = field(default_factory=Capacity)
    events: Sequence[Mapping[str, object]] = ()
    event_counts: Mapping[str, int] = field(default_factory=dict)
    incidents: Sequence[Mapping[str, object]] = ()
    template: Forking | None = None
    """From a process that has not imported the application, by default."""
    preload: Forking | None = None
    """From one that has: the zygote."""

    def figures_of(self, slot: SlotStatus) -> Figures:
        """The figures of the process that is in the slot now; zeros while it has written none of its own."""
        figures = self.figures.get(slot.slot, Figures())
        return figures if slot.pid is not None and figures.pid == slot.pid else Figures()


def identity_object(identity: Identity, master_uid: int) -> dict[str, object]:
    """Whose rights the application has, and whose the master."""
    return {
        "user": identity.user,
        "uid": identity.uid,
        "gid": identity.gid,
        "groups": list(identity.groups),
        "master_uid": master_uid,
    }


def status_object(view: Snapshot) -> dict[str, object]:
    """The answer to GET /v1/status."""
    status = view.status
    return {
        "name": view.name,
        "version": view.version,
        "pid": view.pid,
        "state": status.state.value,
        "reason": status.reason,
        "generation": status.generation,
        "uptime_s": seconds(view.now - view.started_at),
        "time": iso(view.wall),
        "app": view.app,
        "workers": {"target": status.target, "ready": status.ready},
        "identity": identity_object(view.identity, view.master_uid) if view.identity is not None else None,
        "listeners": [{"address": listener.address, "fd": listener.fd} for listener in view.listeners],
        "lost_listeners": list(status.lost_listeners),
        "template": forking_object(view.template) if view.template is not None else None,
        "preload": forking_object(view.preload) if view.preload is not None else None,
        "slots": slot_objects(view),
        "reload": reload_object(status.reload, view.now) if status.reload is not None else None,
        "last_reload": last_reload_object(status.last_reload) if status.last_reload is not None else None,
    }


def forking_object(forking: Forking) -> dict[str, object]:
    return {
        "generation": forking.generation,
        "pid": forking.pid,
        "refusal": forking.refusal,
        "saved_bytes": forking.saved_bytes(),
    }


def workers_object(view: Snapshot) -> dict[str, object]:
    """The answer to GET /v1/workers."""
    return {
        "time": iso(view.wall),
        "workers": {"target": view.status.target, "ready": view.status.ready},
        "slots": slot_objects(view),
    }


def config_object(view: Snapshot) -> dict[str, object]:
    """The answer to GET /v1/config."""
    return {"settings": [{"name": row.name, "value": row.value, "source": row.source} for row in view.config]}


def capacity_object(view: Snapshot) -> dict[str, object]:
    """The answer to GET /v1/capacity; `room_for_more` is how many workers as large as the largest still fit."""
    told = next((row for row in view.config if row.name == "workers"), None)
    largest, memory, sizing = max(view.rss_bytes.values(), default=0), view.capacity.memory, view.status.sizing
    return {
        "workers": {"target": view.status.target, "ready": view.status.ready},
        "setting": told.value if told is not None else None,
        "source": told.source if told is not None else None,
        "cpus": view.capacity.cpus,
        "auto": sizing.workers if sizing.reason else view.capacity.cpus,
        "reasons": [*view.capacity.reasons, *([sizing.reason] if sizing.reason else [])],
        "memory": dict(memory) if memory is not None else None,
        "largest_worker_bytes": largest or None,
        "room_for_more": memory["spare_bytes"] // largest if memory is not None and largest else None,
    }


def readiness_object(view: Snapshot) -> dict[str, object]:
    """The body of GET /readyz; its status is 200 or 503."""
    return {
        "ready": view.status.accepts_traffic,
        "state": view.status.state.value,
        "reason": view.status.reason,
        "lost_listeners": list(view.status.lost_listeners),
        "workers": {"target": view.status.target, "ready": view.status.ready},
    }


def slot_objects(view: Snapshot) -> list[dict[str, object]]:
    return [slot_object(view, slot) for slot in view.status.slots]


def slot_object(view: Snapshot, slot: SlotStatus) -> dict[str, object]:
    """One slot; what is not known (no process, no beat yet) is null rather than zero."""
    figures = view.figures_of(slot)
    alive = slot.pid is not None
    return {
        "slot": slot.slot,
        "index": slot.index,
        "pid": slot.pid,
        "generation": slot.generation,
        "state": slot.state.value,
        "state_s": seconds(view.now - slot.since),
        "reason": slot.reason,
        "age_s": seconds(view.now - slot.spawned_at) if alive and slot.spawned_at is not None else None,
        "beat_age_s": beat_age_s(figures, view.now),
        "loop_lag_s": seconds(figures.loop_lag_s),
        "requests_total": figures.requests_total,
        "in_flight": figures.in_flight,
        "connections": figures.connections,
        "threads": threads_object(figures) if figures.threads else None,
        "rss_bytes": view.rss_bytes.get(slot.slot) if alive else None,
        "restarts": slot.restarts,
        "retry_in_s": seconds(slot.retry_at - view.now) if slot.retry_at is not None else None,
        "last_exit": last_exit_object(slot.last_exit, view) if slot.last_exit is not None else None,
    }


def threads_object(figures: Figures) -> dict[str, object]:
    """The threads of a worker that runs a WSGI application in several."""
    return {"most": figures.threads, "busy": figures.threads_busy, "queued": figures.threads_queued}


def beat_age_s(figures: Figures, now: Instant) -> float | None:
    """Seconds since the event loop last beat, or None if it never did."""
    return seconds(now - figures.loop_beat_at) if figures.loop_beat_at else None


def last_exit_object(last_exit: LastExit, view: Snapshot) -> dict[str, object]:
    return {
        "cause": last_exit.cause,
        "exit_code": last_exit.exit_code,
        "signal": last_exit.signal,
        "at": iso(view.wall - (view.now - last_exit.at)),
        "reason": last_exit.reason,
    }


def reload_object(reload: ReloadStatus, now: Instant) -> dict[str, object]:
    return {
        "phase": reload.phase,
        "generation": reload.generation,
        "replaced": reload.replaced,
        "target": reload.target,
        "duration_s": seconds(now - reload.since),
    }


def last_reload_object(last_reload: LastReload) -> dict[str, object]:
    return {
        "outcome": last_reload.outcome,
        "reason": last_reload.reason,
        "generation": last_reload.generation,
        "duration_s": seconds(last_reload.duration_s),
        "origin": origin_object(last_reload.origin),
    }


def origin_object(origin: Origin) -> dict[str, object]:
    return {"by": origin.by, "how": origin.how, "pid": origin.pid, "uid": origin.uid}


def seconds(length: float) -> float:
    """To the millisecond, and never below zero: a worker may beat just after `now` was taken."""
    return round(max(0.0, length), 3)


def iso(wall: float) -> str:
    """Seconds since the epoch as ISO 8601 in UTC, to the millisecond."""
    return datetime.fromtimestamp(wall, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
