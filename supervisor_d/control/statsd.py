"""What is sent to a StatsD server about the time between two looks at the counters, in gunicorn's names. Pure.

gunicorn sends a packet for each request. Here the master reads what the workers have counted anyway, so that no request
pays: counts are the same, only summed. For durations there is the histogram: the requests of a bucket are one line with
their number as the sample rate (`|@0.25` for four of them), and the values are laid within the buckets so that their
sum is the true one. A mean is exact, a percentile as exact as the bucket's bounds.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Final

from server_core.contract.figures import LATENCY_BOUNDS_S, ROWS, Figures
from server_core.records import dataclass

DATAGRAM_MAX: Final = 1432
"""Bytes that fit into one Ethernet frame behind the headers of IPv6 and UDP; what StatsD's own documentation names."""


@dataclass(frozen=True, slots=True)
class Sample:
    """The sums of all workers that there are and were, and what the master counted itself."""

    figures: Figures
    workers: int
    logged: Mapping[str, int]
    """Events by level: critical, error, exception, warning."""


@dataclass(frozen=True, slots=True)
class Form:
    """How each line is written: `prefix` before the name, `tags` behind (DogStatsD)."""

    prefix: str = ""
    tags: str = ""

    def line(self, name: str, value: str, kind: str, times: int = 1) -> str:
        rate = f"|@{1 / times:.9g}" if times > 1 else ""
        dot = "." if self.prefix and not self.prefix.endswith(".") else ""
        return f"{self.prefix}{dot}gunicorn.{name}:{value}|{kind}{rate}{f'|#{self.tags}' if self.tags else ''}"


def lines(before: Sample, now: Sample, form: Form) -> Iterator[str]:
    """What has happened between the two."""
    old, new = before.figures, now.figures
    if requests := sum(new.responses) - sum(old.responses):
        yield form.line("requests", str(requests), "c")
    for status, count in zip(ROWS["statuses"].values, _less(new.statuses, old.statuses), strict=True):
        if count > 0:
            yield form.line(f"request.status.{status}", str(count), "c")
    durations = _less(new.latency, old.latency)
    for milliseconds, count in spread(durations, new.latency_sum_s - old.latency_sum_s):
        yield form.line("request.duration", f"{milliseconds:.6g}", "ms", count)
    for level, count in now.logged.items():
        if (more := count - before.logged.get(level, 0)) > 0:
            yield form.line(f"log.{level}", str(more), "c")
    yield form.line("workers", str(now.workers), "g")


def _less(new: Sequence[int], old: Sequence[int]) -> list[int]:
    return [after - earlier for after, earlier in zip(new, old, strict=True)]


def spread(counts: Sequence[int], sum_s: float) -> Iterator[tuple[float, int]]:
    """(milliseconds, how many) of each bucket that is not empty, such that all together last `sum_s` seconds.

    Each value lies as far between its bucket's bounds as all others do. The last bucket has no upper bound: there it is
    the whole sum, which none of its requests can exceed.
    """
    bounds = (0.0, *LATENCY_BOUNDS_S, max(sum_s, LATENCY_BOUNDS_S[-1]))
    widths = [upper - lower for lower, upper in pairwise(bounds)]
    least = sum(count * lower for count, lower in zip(counts, bounds, strict=False))
    room = sum(count * width for count, width in zip(counts, widths, strict=True))
    part = min(1.0, max(0.0, (sum_s - least) / room)) if room > 0 else 0.0
    for count, lower, width in zip(counts, bounds, widths, strict=False):
        if count > 0:
            yield (lower + part * width) * 1000, count


def datagrams(told: Iterable[str]) -> Iterator[bytes]:
    """The lines in as few datagrams as they fit into; one that is longer has its own."""
    held = b""
    for line in told:
        data = line.encode()
        if held and len(held) + 1 + len(data) > DATAGRAM_MAX:
            yield held
            held = b""
        held = held + b"\n" + data if held else data
    if held:
        yield held
