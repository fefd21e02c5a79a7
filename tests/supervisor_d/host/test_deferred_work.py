"""Chores are done in order, one a turn, whatever one of them raises."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from supervisor_d.host.deferred_work import Chores
from supervisor_d.host.reactor import Watcher
from supervisor_d.vocabulary import Slot, WorkerReady


@pytest.fixture
def watcher() -> Iterator[Watcher]:
    made = Watcher()
    yield made
    made.close()


def test_each_turn_does_one_chore_in_the_order_they_came(watcher: Watcher) -> None:
    chores = Chores(watcher)
    for slot in (1, 2, 3):
        chores.add(lambda slot=slot: watcher.tell(WorkerReady(Slot(slot))))
    assert [watcher.wait(None) for _ in range(3)] == [[WorkerReady(Slot(slot))] for slot in (1, 2, 3)]


def test_a_chore_may_add_a_chore(watcher: Watcher) -> None:
    chores = Chores(watcher)
    chores.add(lambda: chores.add(lambda: watcher.tell(WorkerReady(Slot(1)))))
    assert watcher.wait(None) == [WorkerReady(Slot(1))]


def test_a_chore_that_raises_does_not_keep_the_next_from_its_turn(watcher: Watcher) -> None:
    chores = Chores(watcher)

    def fails() -> None:
        raise RuntimeError("a mistake")

    chores.add(fails)
    chores.add(lambda: watcher.tell(WorkerReady(Slot(2))))
    with pytest.raises(RuntimeError, match="a mistake"):
        watcher.wait(None)
    assert watcher.wait(None) == [WorkerReady(Slot(2))]
