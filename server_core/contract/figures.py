"""What a worker counts and measures: one row a number, and everything that can be derived from the rows.

A row is a field of Figures with its Row: name, kind, help. From these come the layout in the record, what a record may
say (supervisor_d/host/observation/record_check.py), the families of /metrics and their table in contrib/docs/CONTROL.md
(supervisor_d/control/metrics.py, reference.py). A new counter is a row here, and `count` or `follow` where it is
counted (server_core/connection/counters.py).

A field of a NamedTuple that carries its row (typing.Annotated) rather than a table from which a class is made: a type
checker does not know the attributes of the latter.
"""

from __future__ import annotations

import enum
import struct
from collections.abc import Sequence
from typing import Annotated, Final, NamedTuple, get_type_hints

LATENCY_BOUNDS_S: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""Upper bounds of the latency histogram's buckets in seconds; one more bucket takes the rest. Prometheus' defaults
with two finer ones in front: a hello takes well under a millisecond here."""

STATUSES: Final = (
    *(*range(100, 104), *range(200, 209), 226, *range(300, 309)),
    *(*range(400, 419), *range(421, 427), 428, 429, 431, 451, *range(500, 512)),
)
"""Statuses that are counted one by one: those that are registered (IANA, HTTP Status Code Registry). All others are one
more number."""

BUCKETS: Final = len(LATENCY_BOUNDS_S) + 1


class Kind(enum.Enum):
    """What a number is: how it is checked, added up and told."""

    PID = enum.auto()
    GENERATION = enum.auto()
    INSTANT = enum.auto()
    """Monotonic seconds, 0 is never; told as its age, and not before there is one."""
    DURATION = enum.auto()
    """Seconds; told of each worker."""
    GAUGE = enum.auto()
    """How many there are now; told of each worker."""
    COUNTER = enum.auto()
    """How many there have been; never falls, and is told as the sum over all workers."""
    HISTOGRAM = enum.auto()
    """Counters by LATENCY_BOUNDS_S."""
    SECONDS_SUM = enum.auto()
    """Seconds that add up; never falls. A histogram's sum."""


SUMS: Final = frozenset((Kind.COUNTER, Kind.HISTOGRAM, Kind.SECONDS_SUM))
"""Kinds that are added up over workers, the former ones too."""


class Row(NamedTuple):
    """What is known of one number besides its name and its type."""

    kind: Kind
    help: str
    metric: str | None = ""
    """Its name in /metrics, without prefix; nothing: the field's own. None: not told as such."""
    label: str = ""
    """What tells the numbers of a field of several apart, and in `values` one value for each."""
    values: tuple[str, ...] = ()
    per_request: int = 1
    """A counter grows by at most so much with each request: more is not believed."""


class Figures(NamedTuple):
    """The numbers of one worker, in the order of its record; integers and floats take eight bytes each.

    A row in another place than the end moves those behind it, which a master and its workers must agree on.
    """

    pid: Annotated[int, Row(Kind.PID, "The process that stored these.", metric=None)] = 0
    generation: Annotated[int, Row(Kind.GENERATION, "Its generation.", metric=None)] = 0
    loop_beat_at: Annotated[
        float, Row(Kind.INSTANT, "Time since the event loop last beat.", metric="beat_age_seconds")
    ] = 0.0
    thread_beat_at: Annotated[float, Row(Kind.INSTANT, "When the second thread last beat.", metric=None)] = 0.0
    loop_lag_s: Annotated[
        float, Row(Kind.DURATION, "How late the loop's last beat was.", metric="loop_lag_seconds")
    ] = 0.0
    connections: Annotated[int, Row(Kind.GAUGE, "Open connections.")] = 0
    in_flight: Annotated[int, Row(Kind.GAUGE, "Requests under way.", metric="in_flight_requests")] = 0
    requests_total: Annotated[int, Row(Kind.COUNTER, "Requests begun.")] = 0
    responses: Annotated[
        tuple[int, ...],
        Row(
            Kind.COUNTER,
            "Responses by class of status.",
            metric="responses_total",
            label="class",
            values=("1xx", "2xx", "3xx", "4xx", "5xx"),
        ),
    ] = (0,) * 5
    overloads_total: Annotated[int, Row(Kind.COUNTER, "Requests answered 503 because of limit-concurrency.")] = 0
    evictions_total: Annotated[
        int, Row(Kind.COUNTER, "Idle or slow connections closed to make room where descriptors were short.")
    ] = 0
    dropped_fields_total: Annotated[
        int,
        Row(  # a field is at least five bytes (`_:` and its line's end): more of them than any worker can read
            Kind.COUNTER,
            "Request fields left out for the _ in their names (underscore-headers drop).",
            per_request=100,
        ),
    ] = 0
    threads: Annotated[
        int, Row(Kind.GAUGE, "Most threads that run a WSGI application; 0 where none do.", metric=None)
    ] = 0
    threads_busy: Annotated[int, Row(Kind.GAUGE, "Threads that run a WSGI application.")] = 0
    threads_queued: Annotated[int, Row(Kind.GAUGE, "Requests that wait for a thread.")] = 0
    latency_sum_s: Annotated[
        float, Row(Kind.SECONDS_SUM, "Seconds of all requests that `latency` counts.", metric=None)
    ] = 0.0
    latency: Annotated[
        tuple[int, ...],
        Row(
            Kind.HISTOGRAM,
            "Time from a request's head to the end of its response.",
            metric="request_duration_seconds",
            label="le",
            values=(*(f"{bound:g}" for bound in LATENCY_BOUNDS_S), "+Inf"),
        ),
    ] = (0,) * BUCKETS
    statuses: Annotated[
        tuple[int, ...],
        Row(
            Kind.COUNTER,
            "Responses by status.",
            metric=None,
            label="status",
            values=(*map(str, STATUSES), "other"),
        ),
    ] = (0,) * (len(STATUSES) + 1)
    log_warnings_total: Annotated[int, Row(Kind.COUNTER, "Warnings that workers logged.")] = 0
    log_errors_total: Annotated[int, Row(Kind.COUNTER, "Errors that workers logged, but for failed requests.")] = 0
    log_exceptions_total: Annotated[int, Row(Kind.COUNTER, "Requests that failed with an exception.")] = 0


def by_class(responses: Sequence[int]) -> tuple[int, ...]:
    """Counts by status, as those of the five classes; what has no class is a 5xx."""
    return *(sum(responses[first : first + 100]) for first in range(100, 500, 100)), sum(responses[500:])


def by_status(responses: Sequence[int]) -> tuple[int, ...]:
    """Counts by status, as those of the registered ones and the rest."""
    known = [responses[status] for status in STATUSES]
    return *known, sum(responses) - sum(known)


ROWS: Final[dict[str, Row]] = {
    name: hint.__metadata__[0] for name, hint in get_type_hints(Figures, include_extras=True).items()
}
"""{field of Figures: its row}, in order."""


def _code(default: object) -> str:
    """A field as struct writes it: q, d, or several q."""
    if isinstance(default, tuple):
        return f"{len(default)}q"
    return "d" if isinstance(default, float) else "q"


def _layout(names: tuple[str, ...]) -> struct.Struct:
    return struct.Struct("=" + "".join(_code(Figures._field_defaults[name]) for name in names))


def offset_of(name: str) -> int:
    """Where a field begins, in bytes from the record's beginning."""
    return _layout(Figures._fields[: Figures._fields.index(name)]).size


FIGURES: Final = _layout(Figures._fields)
LOOP_BEAT_OFFSET: Final = offset_of("loop_beat_at")
THREAD_BEAT_OFFSET: Final = offset_of("thread_beat_at")
INSTANT: Final = struct.Struct("=d")


def _parts() -> tuple[int | slice, ...]:
    """Where each field is among the numbers of a record: an index, or a slice of a field of several."""
    parts: list[int | slice] = []
    begin = 0
    for default in Figures():
        width = len(default) if isinstance(default, tuple) else 1
        parts.append(slice(begin, begin + width) if isinstance(default, tuple) else begin)
        begin += width
    return tuple(parts)


_PARTS: Final = _parts()


def pack_figures(figures: Figures) -> bytes:
    numbers: list[float] = []
    for value in figures:
        if isinstance(value, tuple):
            numbers.extend(value)
        else:
            numbers.append(value)
    return FIGURES.pack(*numbers)


def unpack_figures(record: bytes) -> Figures:
    """The figures at the beginning of a record."""
    numbers = FIGURES.unpack_from(record)
    return Figures._make([numbers[part] for part in _PARTS])


def add_sums(total: Figures, more: Figures) -> Figures:
    """`total` with the sums of `more` added; what is no sum stays as it is."""
    values: list[object] = []
    for row, old, new in zip(ROWS.values(), total, more, strict=True):
        if row.kind not in SUMS:
            values.append(old)
        elif isinstance(old, tuple) and isinstance(new, tuple):
            values.append(tuple(map(sum, zip(old, new, strict=True))))
        else:
            values.append(old + new)  # type: ignore[operator]  # one field's values are of one type
    return Figures._make(values)
