"""The master's loop hands facts to policy and orders to the performer, and ends when policy says so."""

from __future__ import annotations

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


def test_orders_are_performed_before_the_next_fact_is_decided_and_the_exit_code_ends_it() -> None:
    stop, close, kill = ReopenLogs(()), CloseListeners(), KillWorker(Slot(1))
    script = Scripted(
        {Started(): [stop, close], WorkerReady(Slot(1)): [kill]},
        [[Started(), WorkerReady(Slot(1))], [DeadlineReached()], [Started()]],
        ends_with=DeadlineReached(),
    )
    assert Master(script, script, script, now=lambda: Instant(5.0)).run() == 4
    at = Instant(5.0)
    assert script.history == [(Started(), at), stop, close, (WorkerReady(Slot(1)), at), kill, (DeadlineReached(), at)]
    assert script.deadlines == [Instant(7.0), Instant(7.0)]
    assert script.turns == [[Started()]], "nothing is waited for once the exit code is known"


def test_a_policy_that_has_ended_already_is_not_waited_for() -> None:
    script = Scripted({}, [], ends_with=Started())
    script.exit_code = 0
    assert Master(script, script, script).run() == 0
    assert script.deadlines == []
