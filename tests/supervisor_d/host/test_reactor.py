"""The reactor waits in one place, for descriptors and deadlines, and returns facts."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator

import pytest

from supervisor_d import clock
from supervisor_d.faults import FaultBarrier
from supervisor_d.host.reactor import READ, WRITE, Reactor
from supervisor_d.vocabulary import DeadlineReached, Instant, Slot, Started, WorkerBooted, WorkerReady


@pytest.fixture
def reactor() -> Iterator[Reactor]:
    made = Reactor()
    yield made
    made.close()


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    left, right = socket.socketpair()
    with left, right:
        yield left, right


def in_s(length: float) -> Instant:
    return Instant(clock.now() + length)


def test_a_fact_that_was_told_before_the_wait_is_returned_by_it(reactor: Reactor) -> None:
    reactor.tell(Started())
    assert reactor.wait(None) == [Started()]


def test_the_policys_deadline_comes_as_a_fact_and_not_before_its_instant(reactor: Reactor) -> None:
    until = in_s(0.02)
    assert reactor.wait(until) == [DeadlineReached()]
    assert clock.now() >= until


def test_news_is_told_before_the_deadline_that_came_with_it(reactor: Reactor) -> None:
    reactor.tell(Started())
    assert reactor.wait(in_s(-1)) == [Started(), DeadlineReached()]


def test_a_readable_descriptor_is_handled_inside_the_wait(
    reactor: Reactor, pair: tuple[socket.socket, socket.socket]
) -> None:
    seen = []

    def handler(events: int) -> None:
        seen.append((events, pair[0].recv(10)))
        reactor.tell(WorkerReady(Slot(1)))

    reactor.watch(pair[0].fileno(), READ, handler)
    pair[1].send(b"x")
    assert reactor.wait(None) == [WorkerReady(Slot(1))]
    assert seen == [(READ, b"x")]


def test_watching_again_replaces_events_and_handler(
    reactor: Reactor, pair: tuple[socket.socket, socket.socket]
) -> None:
    reactor.watch(pair[0].fileno(), READ, lambda _: reactor.tell(WorkerBooted(Slot(1))))
    reactor.watch(pair[0].fileno(), WRITE, lambda events: reactor.tell(WorkerReady(Slot(events))))
    pair[1].send(b"x")
    assert reactor.wait(None) == [WorkerReady(Slot(WRITE))]


def test_a_forgotten_descriptor_is_not_handled_and_forgetting_twice_is_nothing(
    reactor: Reactor, pair: tuple[socket.socket, socket.socket]
) -> None:
    reactor.watch(pair[0].fileno(), READ, lambda _: reactor.tell(Started()))
    reactor.forget(pair[0].fileno())
    reactor.forget(pair[0].fileno())
    pair[1].send(b"x")
    assert reactor.wait(in_s(0.01)) == [DeadlineReached()]


def test_a_handler_may_close_what_is_ready_in_the_same_turn_and_its_number_may_be_used_again(reactor: Reactor) -> None:
    one, other = os.pipe(), os.pipe()
    reused: list[tuple[int, int]] = []

    def close_the_other(mine: tuple[int, int], theirs: tuple[int, int]) -> None:
        if reused:
            raise AssertionError("a handler was called for a descriptor that is another's by now")
        reactor.forget(mine[0])
        reactor.forget(theirs[0])
        os.close(theirs[0])
        os.close(theirs[1])
        reused.append(os.pipe())
        reactor.watch(theirs[0], READ, lambda _: reactor.tell(WorkerBooted(Slot(9))))
        reactor.tell(Started())

    reactor.watch(one[0], READ, lambda _: close_the_other(one, other))
    reactor.watch(other[0], READ, lambda _: close_the_other(other, one))
    os.write(one[1], b"x")
    os.write(other[1], b"x")
    assert reactor.wait(None) == [Started()]
    closed = other if reused[0][0] == other[0] else one
    for descriptor in {*one, *other, *reused[0]}:
        reactor.forget(descriptor)
        os.close(descriptor)
    assert closed[0] == reused[0][0]


def test_actions_run_in_the_order_of_their_instants_and_then_of_their_making(reactor: Reactor) -> None:
    ran: list[str] = []
    reactor.at(in_s(0.02), lambda: (ran.append("last"), reactor.tell(Started()))[0])
    reactor.at(Instant(1.0), lambda: ran.append("second"))
    reactor.at(Instant(0.5), lambda: ran.append("first"))
    reactor.at(Instant(1.0), lambda: ran.append("third"))
    assert reactor.wait(None) == [Started()]
    assert ran == ["first", "second", "third", "last"]


def test_a_cancelled_action_does_not_run_and_does_not_wake(reactor: Reactor) -> None:
    cancelled = reactor.at(in_s(-1), lambda: reactor.tell(WorkerBooted(Slot(1))))
    cancelled.cancel()
    cancelled.cancel()
    assert reactor.wait(in_s(0.01)) == [DeadlineReached()]


def test_an_action_that_schedules_itself_at_once_does_not_hold_the_loop(reactor: Reactor) -> None:
    def again() -> None:
        reactor.at(Instant(0.0), again)

    again()
    assert reactor.wait(in_s(0.01)) == [DeadlineReached()]


def test_queued_facts_do_not_keep_descriptors_waiting(
    reactor: Reactor, pair: tuple[socket.socket, socket.socket]
) -> None:
    reactor.watch(pair[0].fileno(), READ, lambda _: (pair[0].recv(9), reactor.tell(WorkerReady(Slot(2))))[1])
    pair[1].send(b"x")
    reactor.tell(Started())
    assert reactor.wait(None) == [Started(), WorkerReady(Slot(2))]


def test_a_handler_and_an_action_that_raise_end_nothing(
    pair: tuple[socket.socket, socket.socket],
) -> None:
    faults: list[str] = []
    reactor = Reactor(FaultBarrier(lambda *_, **__: None, lambda *fault: faults.append(fault[0]), lambda _: None))

    def handle(_: int) -> None:
        raise KeyError("handler")

    def act() -> None:
        raise KeyError("action")

    def cut_off(error: Exception) -> None:
        reactor.forget(pair[0].fileno())
        assert isinstance(error, KeyError)
        reactor.tell(Started())

    reactor.watch(pair[0].fileno(), READ, handle, cut_off)
    reactor.at(in_s(0.0), act)
    pair[1].send(b"x")
    assert reactor.wait(None) == [Started()]
    assert sorted(name.rpartition(".")[2] for name in faults) == ["act", "handle"]
    reactor.close()
