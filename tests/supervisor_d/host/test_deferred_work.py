"""Deferred work is done in order, one a turn, whatever one of them raises."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from supervisor_d.host.deferred_work import DeferredWork
from supervisor_d.host.reactor import Reactor
from supervisor_d.vocabulary import Slot, WorkerReady


@pytest.fixture
def reactor() -> Iterator[Reactor]:
    made = Reactor()
    yield made
    made.close()


def test_each_turn_does_one_chore_in_the_order_they_came(reactor: Reactor) -> None:
    deferred = DeferredWork(reactor)
    for slot in (1, 2, 3):
        deferred.add(lambda slot=slot: reactor.tell(WorkerReady(Slot(slot))))
    assert [reactor.wait(None) for _ in range(3)] == [[WorkerReady(Slot(slot))] for slot in (1, 2, 3)]


def test_a_chore_may_add_a_chore(reactor: Reactor) -> None:
    deferred = DeferredWork(reactor)
    deferred.add(lambda: deferred.add(lambda: reactor.tell(WorkerReady(Slot(1)))))
    assert reactor.wait(None) == [WorkerReady(Slot(1))]


def test_a_chore_that_raises_does_not_keep_the_next_from_its_turn(reactor: Reactor) -> None:
    deferred = DeferredWork(reactor)

    def fails() -> None:
        raise RuntimeError("a mistake")

    deferred.add(fails)
    deferred.add(lambda: reactor.tell(WorkerReady(Slot(2))))
    with pytest.raises(RuntimeError, match="a mistake"):
        reactor.wait(None)
    assert reactor.wait(None) == [WorkerReady(Slot(2))]
