"""The master's loop hands facts to policy and orders to the performer, and ends when policy says so."""

from __future__ import annotations

from supervisor_d.faults import FaultBarrier, NoBarrier
from supervisor_d.master import Master
from supervisor_d.vocabulary import (
    CloseListeners,
    DeadlineReached,
    Fact,
    Instant,
    KillWorker,
    Order,
    ReopenLogs,
    Slot,
    Started,
    WorkerReady,
)
from supervisor_d.vocabulary.status import Status


class Scripted:
    """A policy with an answer for every fact, a source of facts, and a performer: all three as the test wrote them."""

    def __init__(self, answers: dict[Fact, list[Order]], turns: list[list[Fact]], ends_with: Fact) -> None:
        self.answers = answers
        self.turns = turns
        self.ends_with = ends_with
        self.exit_code: int | None = None
        self.deadlines: list[Instant | None] = []
        self.history: list[object] = []
        self.next_deadline: Instant | None = Instant(7.0)

    def receive(self, fact: Fact, now: Instant) -> list[Order]:
        self.history.append((fact, now))
        if fact == self.ends_with:
            self.exit_code = 4
        return self.answers.get(fact, [])

    def wait(self, until: Instant | None) -> list[Fact]:
        self.deadlines.append(until)
        return self.turns.pop(0)

    def perform(self, order: Order) -> None:
        self.history.append(order)

    def fail(self, fact: Fact) -> None:
        self.history.append(("failed", fact))

    def status(self, now: Instant) -> Status:
        raise AssertionError(f"nothing is shown at {now}")


class Broken(Scripted):
    """One that fails at one fact, and at one order."""

    def receive(self, fact: Fact, now: Instant) -> list[Order]:
        if fact == WorkerReady(Slot(1)):
            raise KeyError("no such slot")
        return super().receive(fact, now)

    def perform(self, order: Order) -> None:
        if isinstance(order, KillWorker):
            raise ValueError("no such process")
        super().perform(order)


def test_orders_are_performed_before_the_next_fact_is_decided_and_the_exit_code_ends_it() -> None:
    stop, close, kill = ReopenLogs(()), CloseListeners(), KillWorker(Slot(1))
    script = Scripted(
        {Started(): [stop, close], WorkerReady(Slot(1)): [kill]},
        [[Started(), WorkerReady(Slot(1))], [DeadlineReached()], [Started()]],
        ends_with=DeadlineReached(),
    )
    assert Master(script, script, script, NoBarrier(), now=lambda: Instant(5.0)).run() == 4
    at = Instant(5.0)
    assert script.history == [(Started(), at), stop, close, (WorkerReady(Slot(1)), at), kill, (DeadlineReached(), at)]
    assert script.deadlines == [Instant(7.0), Instant(7.0)]
    assert script.turns == [[Started()]], "nothing is waited for once the exit code is known"


def test_a_policy_that_has_ended_already_is_not_waited_for() -> None:
    script = Scripted({}, [], ends_with=Started())
    script.exit_code = 0
    assert Master(script, script, script, NoBarrier()).run() == 0
    assert script.deadlines == []


def test_a_fact_that_cannot_be_decided_and_an_order_that_fails_cost_nothing_but_themselves() -> None:
    stop, close, kill = ReopenLogs(()), CloseListeners(), KillWorker(Slot(1))
    script = Broken(
        {Started(): [stop, kill, close]}, [[WorkerReady(Slot(1)), Started(), DeadlineReached()]], DeadlineReached()
    )
    faults: list[str] = []
    barrier = FaultBarrier(lambda *_, **__: None, lambda *fault: faults.append(fault[0]), lambda _: None)
    assert Master(script, script, script, barrier, now=lambda: Instant(5.0)).run() == 4
    at = Instant(5.0)
    assert script.history == [
        ("failed", WorkerReady(Slot(1))),
        (Started(), at),
        stop,
        close,
        (DeadlineReached(), at),
    ]
    assert faults == ["deciding on WorkerReady", "performing KillWorker"]


def test_a_status_that_cannot_be_shown_ends_nothing() -> None:
    script = Scripted({}, [[Started()], [DeadlineReached()]], ends_with=DeadlineReached())
    faults: list[str] = []
    barrier = FaultBarrier(lambda *_, **__: None, lambda *fault: faults.append(fault[0]), lambda _: None)
    assert Master(script, script, script, barrier, show=lambda _: None).run() == 4
    assert faults == ["showing the status"] * 2
