"""The Snapshot as Prometheus' text exposition format, version 0.0.4; pure.

Names carry base units and `_total` as Prometheus' own naming rules want them (https://prometheus.io/docs/practices/
naming/), hence `_seconds` here where wires and logs say `_s`. Counters are sums over the workers that live and those
that are gone, so they do not fall when a worker is replaced; only gauges are given by slot.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import reduce
from typing import Final

from server_core.contract.figures import ROWS, SUMS, Figures, Kind, Row, add_sums
from server_core.records import dataclass
from supervisor_d.control.snapshot import Snapshot, seconds
from supervisor_d.vocabulary import Slot
from supervisor_d.vocabulary.status import DaemonState, SlotState

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"
PREFIX: Final = "supervisor_d_"

EVENT_COUNTERS: Final[Mapping[str, tuple[str, str]]] = {
    "worker_crashes_total": ("worker.crashed", "Worker processes that ended unasked."),
    "worker_recycles_total": ("worker.recycled", "Workers replaced because of a limit or on request."),
    "worker_boot_failures_total": ("worker.boot_failed", "Workers whose application could not boot."),
    "worker_boot_timeouts_total": ("worker.boot_expired", "Workers that were not ready within boot-timeout."),
    "worker_suspects_total": ("worker.suspected", "Times that a worker's event loop was silent for too long."),
    "incidents_total": ("worker.hung", "Incidents recorded."),
    "spawn_failures_total": ("worker.spawn_failed", "Worker processes that could not be started."),
}
"""Counters that are the number of times one event happened, by metric name."""

RELOAD_OUTCOMES: Final = {"committed": "reload.committed", "rolled_back": "reload.rolled_back"}


@dataclass(frozen=True, slots=True)
class Sample:
    """One line: labels in order, the value, and what the metric's name ends with (a histogram's `_bucket`)."""

    value: float
    labels: tuple[tuple[str, str], ...] = ()
    suffix: str = ""


@dataclass(frozen=True, slots=True)
class Family:
    """All samples of one metric; `kind` is gauge, counter or histogram."""

    name: str
    kind: str
    help: str
    samples: tuple[Sample, ...]


def exposition(view: Snapshot) -> str:
    """The whole answer to a scrape."""
    return "".join(line for family in families(view) for line in lines(family))


def families(view: Snapshot) -> Iterator[Family]:
    yield from daemon_families(view)
    yield from counter_families(view)
    yield from worker_families(view)


def daemon_families(view: Snapshot) -> Iterator[Family]:
    status = view.status
    told_states = [state for state in SlotState if state is not SlotState.EMPTY]
    by_state = {state: sum(slot.state is state for slot in status.slots) for state in told_states}
    yield Family("up", "gauge", "1 while the master answers.", (Sample(1),))
    labels = (("name", view.name), ("version", view.version), ("app", view.app))
    yield Family("info", "gauge", "What runs here; always 1.", (Sample(1, labels),))
    yield gauge("uptime_seconds", "Time since the master started.", view.now - view.started_at)
    yield Family(
        "state",
        "gauge",
        "1 for the state that the daemon is in.",
        tuple(Sample(status.state is state, (("state", state.value),)) for state in DaemonState),
    )
    yield gauge("accepts_traffic", "1 if requests may be sent here, as /readyz says.", status.accepts_traffic)
    yield gauge("generation", "The generation that serves.", status.generation)
    yield gauge("target_workers", "Workers that are wanted.", status.target)
    yield gauge("ready_workers", "Workers that serve.", status.ready)
    yield Family(
        "workers",
        "gauge",
        "Workers by state.",
        tuple(Sample(number, (("state", state.value),)) for state, number in by_state.items()),
    )


def counter_families(view: Snapshot) -> Iterator[Family]:
    yield from sum_families(reduce(add_sums, view.figures.values(), view.retired))
    yield Family(
        "reloads_total",
        "counter",
        "Reloads by outcome.",
        tuple(
            Sample(view.event_counts.get(event, 0), (("outcome", outcome),))
            for outcome, event in RELOAD_OUTCOMES.items()
        ),
    )
    for name, (event, help_text) in EVENT_COUNTERS.items():
        yield counter(name, help_text, view.event_counts.get(event, 0))


def sum_families(total: Figures) -> Iterator[Family]:
    """What all workers have counted together, a family for each row that is a sum."""
    for name, row in ROWS.items():
        value = getattr(total, name)
        if row.metric is None or row.kind not in SUMS:
            continue
        if row.kind is Kind.HISTOGRAM:
            yield Family(row.metric or name, "histogram", row.help, tuple(buckets(row, value, total.latency_sum_s)))
        elif row.label:
            by_label = zip(row.values, value, strict=True)
            samples = tuple(Sample(count, ((row.label, which),)) for which, count in by_label)
            yield Family(row.metric or name, "counter", row.help, samples)
        else:
            yield counter(row.metric or name, row.help, value)


def worker_families(view: Snapshot) -> Iterator[Family]:
    """Gauges of each living worker, labelled by slot: bounded, unlike pids."""
    alive = [slot for slot in view.status.slots if slot.pid is not None]
    figures = {slot.slot: view.figures_of(slot) for slot in alive}

    def by_slot(name: str, help_text: str, values: Mapping[Slot, float]) -> Family:
        samples = tuple(Sample(value, (("slot", str(slot)),)) for slot, value in values.items())
        return Family(name, "gauge", help_text, samples)

    for name, row in ROWS.items():
        if row.metric is not None and row.kind not in SUMS:
            values: dict[Slot, float] = {slot: getattr(numbers, name) for slot, numbers in figures.items()}
            if row.kind is Kind.INSTANT:
                values = {slot: seconds(view.now - instant) for slot, instant in values.items() if instant}
            yield by_slot(row.metric or name, row.help, values)
    yield by_slot(
        "rss_bytes",
        "Resident memory of the process.",
        {slot.slot: view.rss_bytes[slot.slot] for slot in alive if slot.slot in view.rss_bytes},
    )
    yield by_slot(
        "worker_age_seconds",
        "Age of the process.",
        {slot.slot: view.now - slot.spawned_at for slot in alive if slot.spawned_at is not None},
    )
    yield by_slot(
        "worker_restarts", "Restarts of the slot, as in `ctl status`.", {s.slot: s.restarts for s in view.status.slots}
    )


def gauge(name: str, help_text: str, value: float) -> Family:
    return Family(name, "gauge", help_text, (Sample(value),))


def counter(name: str, help_text: str, value: float) -> Family:
    return Family(name, "counter", help_text, (Sample(value),))


def buckets(row: Row, counts: tuple[int, ...], sum_s: float) -> Iterator[Sample]:
    """Cumulative counts, as Prometheus wants them."""
    total = 0
    for bound, count in zip(row.values, counts, strict=True):
        total += count
        yield Sample(total, ((row.label, bound),), "_bucket")
    yield Sample(sum_s, (), "_sum")
    yield Sample(total, (), "_count")


def lines(family: Family) -> Iterator[str]:
    """The family's text; a family without samples is left out."""
    if not family.samples:
        return
    yield f"# HELP {PREFIX}{family.name} {family.help}\n"
    yield f"# TYPE {PREFIX}{family.name} {family.kind}\n"
    for sample in family.samples:
        labels = ",".join(f'{name}="{escaped(value)}"' for name, value in sample.labels)
        braces = f"{{{labels}}}" if labels else ""
        yield f"{PREFIX}{family.name}{sample.suffix}{braces} {number(sample.value)}\n"


def escaped(text: str) -> str:
    """A label's value as the format wants it: backslash, quote and newline are escaped."""
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def number(value: float) -> str:
    """Whole numbers without a fraction, others in full."""
    return str(int(value)) if value == int(value) else repr(float(value))
