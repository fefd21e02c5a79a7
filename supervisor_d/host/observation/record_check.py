"""What a worker's record may say: each number is finite, in its range, and never of the future. Pure.

A worker's memory can be written by any code in its process, so that a record may hold anything: NaN ended the metrics
page, a beat at 1e308 the selector's wait. A number that cannot be true is replaced by the last one that could, so that
its readers need not check again, and counters never fall or explode. The first such number is a fact about the worker.

The bounds are far beyond what a worker can do, and near enough to keep sums sane.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final, NamedTuple

from server_core.contract.figures import ROWS, Figures, Kind, Row
from server_core.contract.scoreboard import InFlight
from server_core.records import dataclass

REQUESTS_PER_S: Final = 1_000_000
"""Chosen: several times what any worker can begin, each request taking it microseconds (PERFORMANCE.md)."""

CONNECTIONS_MAX: Final = 1 << 30
"""Linux's own bound of fs.nr_open is below it (proc(5)), and a process cannot hold more than that."""

PID_MAX: Final = 1 << 22
"""PID_MAX_LIMIT of a 64-bit kernel (proc(5), pid_max)."""

CLOCK_SLACK_S: Final = 0.001
"""The worker's clock is the master's own (CLOCK_MONOTONIC), read before this; chosen for its resolution."""


class Known(NamedTuple):
    """What the master knows by itself: instants in monotonic seconds, and the last figures that could be true."""

    now: float
    since: float
    """The record was made: the worker is younger than that."""
    generation: int
    last: Figures


Rule = Callable[[float, float, Known], str | None]
"""(number, its last sound one, what is known) -> what it must be, if it is not."""


def _instant(value: float, _: float, known: Known) -> str | None:
    return None if 0.0 <= value <= known.now + CLOCK_SLACK_S else "must be an instant that is over"


def _length(value: float, _: float, known: Known) -> str | None:
    return None if 0.0 <= value <= known.now else "must be a length of time since the machine started"


def _at_most(limit: int) -> Rule:
    return lambda value, *_: None if 0 <= value <= limit else f"must be from 0 to {limit}"


def _counts(per_s: int) -> Rule:
    def rule(value: float, last: float, known: Known) -> str | None:
        most = per_s * (known.now - known.since + 1.0)
        return None if last <= value <= most else f"must be from {last} to {most:.0f}"

    return rule


def _seconds_sum(value: float, last: float, known: Known) -> str | None:
    most = CONNECTIONS_MAX * (known.now - known.since + 1.0)
    return None if last <= value <= most else f"must be from {last:g} to {most:g}"


def _generation(value: float, _: float, known: Known) -> str | None:
    return None if value in (0, known.generation) else f"must be {known.generation}"


def _rule(row: Row) -> Rule:
    match row.kind:
        case Kind.COUNTER | Kind.HISTOGRAM:
            return _counts(row.per_request * REQUESTS_PER_S)
        case Kind.SECONDS_SUM:
            return _seconds_sum
        case Kind.GAUGE:
            return _at_most(CONNECTIONS_MAX)
        case Kind.INSTANT:
            return _instant
        case Kind.DURATION:
            return _length
        case Kind.GENERATION:
            return _generation
        case Kind.PID:
            return _at_most(PID_MAX)


RULES: Final[Mapping[str, Rule]] = {name: _rule(row) for name, row in ROWS.items()}
"""By field of Figures; of a field of several numbers the rule is for each."""


@dataclass(frozen=True, slots=True)
class Checked:
    """Figures that can be true, and what was wrong with the first number that could not."""

    figures: Figures
    fault: str | None


def check_figures(stored: Figures, known: Known) -> Checked:
    """The figures with each impossible number replaced by its last sound value. A comparison with NaN is never true."""
    fault: str | None = None
    sound: list[object] = []
    for name, rule in RULES.items():
        value, last = getattr(stored, name), getattr(known.last, name)
        values, lasts = (value, last) if isinstance(value, tuple) else ((value,), (last,))
        kept = list(lasts)
        for index, number in enumerate(values):
            wrong = rule(number, lasts[index], known)
            if wrong is None:
                kept[index] = number
            elif fault is None:
                which = f"[{ROWS[name].values[index]}]" if ROWS[name].values else ""
                fault = f"{name}{which}: {wrong}, not {number!r}"
        sound.append(tuple(kept) if isinstance(value, tuple) else kept[0])
    return Checked(Figures._make(sound), fault)


def check_in_flight(stored: list[InFlight], now: float) -> tuple[list[InFlight], str | None]:
    """The requests that can have begun, and what was wrong with the first that can not."""
    sound: list[InFlight] = []
    fault: str | None = None
    for entry in stored:
        if 0.0 < entry.started_at <= now + CLOCK_SLACK_S:
            sound.append(entry)
        elif fault is None:
            fault = f"request in flight: must have begun before now, not at {entry.started_at!r}"
    return sound, fault
