"""What a StatsD server is told: gunicorn's names, the difference of two looks, sums that are true."""

from __future__ import annotations

import pytest

from server_core.contract.figures import BUCKETS, LATENCY_BOUNDS_S, Figures, by_class, by_status
from supervisor_d.control.statsd import DATAGRAM_MAX, Form, Sample, datagrams, lines, spread


def served(statuses: dict[int, int], durations: dict[int, int], sum_s: float) -> Figures:
    responses = [statuses.get(status, 0) for status in range(1000)]
    latency = tuple(durations.get(bucket, 0) for bucket in range(BUCKETS))
    return Figures(responses=by_class(responses), statuses=by_status(responses), latency=latency, latency_sum_s=sum_s)


def test_the_difference_of_two_looks_is_told_in_gunicorns_names() -> None:
    before = Sample(served({200: 5}, {0: 5}, 0.002), 2, {"error": 1})
    now = Sample(served({200: 8, 404: 1, 799: 1}, {0: 8, 3: 2}, 0.0185), 3, {"error": 3, "warning": 0})
    assert list(lines(before, now, Form())) == [
        "gunicorn.requests:5|c",
        "gunicorn.request.status.200:3|c",
        "gunicorn.request.status.404:1|c",
        "gunicorn.request.status.other:1|c",
        "gunicorn.request.duration:0.5|ms|@0.333333333",
        "gunicorn.request.duration:7.5|ms|@0.5",
        "gunicorn.log.error:2|c",
        "gunicorn.workers:3|g",
    ]


def test_nothing_that_happened_is_only_the_number_of_workers() -> None:
    now = Sample(served({200: 5}, {0: 5}, 0.002), 2, {"error": 1})
    assert list(lines(now, now, Form("shop", "env:live,eu"))) == ["shop.gunicorn.workers:2|g|#env:live,eu"]


@pytest.mark.parametrize("prefix", ["shop", "shop."])
def test_prefix_and_tags_stand_where_gunicorn_has_them(prefix: str) -> None:
    assert Form(prefix, "a:b").line("requests", "1", "c", 4) == "shop.gunicorn.requests:1|c|@0.25|#a:b"


@pytest.mark.parametrize("durations_s", [[0.0002], [0.0005, 0.004, 0.004, 0.3], [12.0, 60.0], [0.001] * 7, [0.0, 0.0]])
def test_durations_lie_in_their_buckets_and_their_sum_is_the_true_one(durations_s: list[float]) -> None:
    counts = [0] * BUCKETS
    for duration in durations_s:
        counts[next((n for n, bound in enumerate(LATENCY_BOUNDS_S) if duration <= bound), BUCKETS - 1)] += 1
    told = list(spread(counts, sum(durations_s)))
    assert sum(milliseconds * count for milliseconds, count in told) == pytest.approx(sum(durations_s) * 1000)
    assert [count for _, count in told] == [count for count in counts if count]
    for (milliseconds, _), bucket in zip(told, (n for n, count in enumerate(counts) if count), strict=True):
        lower = (0.0, *LATENCY_BOUNDS_S)[bucket]
        assert lower * 1000 <= milliseconds <= (*LATENCY_BOUNDS_S, float("inf"))[bucket] * 1000


def test_lines_share_datagrams_that_fit_a_frame() -> None:
    told = [f"gunicorn.request.status.{number}:1|c" for number in range(100, 200)]
    sent = list(datagrams(told))
    assert b"\n".join(sent).decode().split("\n") == told
    assert max(map(len, sent)) <= DATAGRAM_MAX
    assert len(sent) == 3
    assert list(datagrams(["x" * 2000, "y"])) == [b"x" * 2000, b"y"]
