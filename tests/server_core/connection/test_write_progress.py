"""Whether a client keeps up, by what its transport says at each sweep."""

from __future__ import annotations

import pytest

from server_core.connection.write_progress import Progress


@pytest.mark.parametrize(
    ("looks", "stalled"),
    [
        ([(0, 1000), (11, 1000)], True),
        ([(0, 1000), (10, 1000)], False),
        ([(0, 0), (11, 0)], True),
        ([(0, 1000), (9, 1001), (11, 1001)], False),
        ([(0, 1000), (9, 1001), (20, 1001)], True),
        ([(0, 1000), (9, None), (11, 1000)], False),
        ([(0, None), (11, None), (22, None)], False),
    ],
)
def test_a_client_is_stalled_when_it_has_taken_nothing_for_so_long(
    looks: list[tuple[int, int | None]], stalled: bool
) -> None:
    progress = Progress(0.0)
    found = [progress.is_stalled(float(at), taken, 10.0) for at, taken in looks]
    assert found[-1] is stalled
    assert not any(found[:-1])


def test_the_time_that_a_body_was_waited_for_is_summed_for_each_request() -> None:
    progress = Progress(0.0)
    assert [progress.waited_s(1.0, 0.5), progress.waited_s(1.0, 0.25), progress.waited_s(2.0, 0.5)] == [0.5, 0.75, 0.5]
