"""The master's end of a worker's pipe: every message becomes a fact, and no worker can hold the master up."""

from __future__ import annotations

import re
import socket
from collections.abc import Iterator

import pytest

from server_core.contract import messages
from server_core.contract.messages import TRACEBACK_LIMIT, decode, encode
from supervisor_d.faults import FaultBarrier
from supervisor_d.host.processes.prefork import VERBS as NURSERY_VERBS
from supervisor_d.host.processes.worker_pipe import FACTS, WORDS_MAX, WORDS_PERIOD_S, Pipe, WorkerListener, socket_pair
from supervisor_d.host.reactor import Reactor
from supervisor_d.vocabulary import (
    RecycleRequested,
    Slot,
    WorkerBooted,
    WorkerDetached,
    WorkerFailed,
    WorkerReady,
)
from tests.helpers.facts import Told

SLOT = Slot(7)


class Held:
    """A pipe and its worker's end, as the test holds them."""

    def __init__(self) -> None:
        self.reactor = Reactor()
        ours, self.worker = socket_pair()
        self.pipe = Pipe(self.reactor, ours, WorkerListener(self.reactor, SLOT))
        self.told = Told(self.reactor)
        self.pipe.listen()

    def close(self) -> None:
        self.pipe.close()
        self.worker.close()
        self.reactor.close()


@pytest.fixture
def held() -> Iterator[Held]:
    made = Held()
    yield made
    made.close()


def test_every_verb_of_the_contract_makes_a_fact_or_is_the_nurserys() -> None:
    section = (messages.__doc__ or "").partition("worker -> master")[2].partition("master -> worker")[0]
    line = r"^ +(\w+)(?: \{[^}]*\}$|(?: \{[^}]*\})?  )"  # what it means may begin on the next line
    verbs = set(re.findall(line, f"                       {section.lstrip()}", re.MULTILINE))
    assert verbs == set(FACTS) | NURSERY_VERBS
    assert not set(FACTS) & NURSERY_VERBS


def test_messages_become_facts_in_their_order(held: Held) -> None:
    held.worker.send(encode("booted"))
    held.worker.send(encode("failed", {"stage": "import", "traceback": "Traceback\nImportError: no\n"}))
    held.worker.send(encode("recycle", {"reason": "max-requests"}))
    assert held.told.expect(WorkerBooted) == WorkerBooted(SLOT)
    assert held.told.expect(WorkerFailed) == WorkerFailed(SLOT, "import", "Traceback\nImportError: no\n")
    assert held.told.expect(RecycleRequested) == RecycleRequested(SLOT, "max-requests")


def test_the_largest_message_arrives_whole(held: Held) -> None:
    traceback = "\n" * TRACEBACK_LIMIT
    held.worker.send(encode("failed", {"stage": "lifespan", "traceback": traceback}))
    assert held.told.expect(WorkerFailed).traceback == traceback


def test_a_message_may_come_in_pieces_where_the_pipe_is_a_stream() -> None:
    reactor = Reactor()
    ours, worker = socket.socketpair()
    ours.setblocking(False)
    pipe, told = Pipe(reactor, ours, WorkerListener(reactor, SLOT)), Told(reactor)
    pipe.listen()
    worker.send(b"boo")
    worker.send(b"ted\nrea")
    assert told.expect(WorkerBooted) == WorkerBooted(SLOT)
    worker.send(b"dy\n")
    assert told.expect(WorkerReady) == WorkerReady(SLOT)
    pipe.close()
    worker.close()
    reactor.close()


@pytest.mark.parametrize(
    "garbage",
    [
        b"\xff\xfe\n",
        b"unheard-of\n",
        b"booted []\n",
        b"failed {}\n",
        b"recycle {\n",
        b'stuck {"busy":true,"threads":1,"queued":0,"oldest_s":1,"where":"","stacks":""}\n',
        b'stuck {"busy":1,"threads":-1,"queued":0,"oldest_s":1,"where":"","stacks":""}\n',
        b'stuck {"busy":1,"threads":1,"queued":0,"oldest_s":NaN,"where":"","stacks":""}\n',
        b'stuck {"busy":1,"threads":1,"queued":0,"oldest_s":1e999,"where":"","stacks":""}\n',
        b'stuck {"busy":1,"threads":1,"queued":0,"oldest_s":1,"where":1,"stacks":""}\n',
        b"\n",
        b"failed " + b"[" * 60000 + b"\n",
        b"recycle " + b'{"a":' * 20000 + b"\n",
    ],
)
def test_what_is_no_message_detaches_the_worker_and_nothing_after_it_is_heard(held: Held, garbage: bytes) -> None:
    held.worker.send(garbage)
    held.worker.send(encode("ready"))
    assert "no message" in held.told.expect(WorkerDetached).reason
    held.pipe.finish()
    assert held.told.kinds() == ["WorkerDetached"]


def test_a_stream_without_a_newline_is_cut_off_at_the_message_limit() -> None:
    reactor = Reactor()
    ours, worker = socket.socketpair()
    ours.setblocking(False)
    worker.setblocking(False)
    pipe, told = Pipe(reactor, ours, WorkerListener(reactor, SLOT)), Told(reactor)
    pipe.listen()
    while "WorkerDetached" not in told.kinds():
        try:
            worker.send(b"x" * 65536)
        except BlockingIOError:
            told.expect(WorkerDetached)
    pipe.close()
    worker.close()
    reactor.close()


def test_a_closed_pipe_is_told_as_detached_if_the_process_lives_on(held: Held) -> None:
    held.worker.close()
    assert held.told.expect(WorkerDetached) == WorkerDetached(SLOT, "closed its pipe")


def test_the_end_of_an_exiting_process_tells_its_last_words_and_no_detachment(held: Held) -> None:
    held.worker.send(encode("ready"))
    held.worker.send(encode("recycle", {"reason": "tired"}))
    held.worker.close()
    held.pipe.finish()
    assert held.told.expect(RecycleRequested).reason == "tired"
    assert held.told.kinds() == ["WorkerReady", "RecycleRequested"]


def test_last_words_are_heard_from_a_worker_that_went_without_reading_ours(held: Held) -> None:
    held.pipe.send(encode("drain", {"timeout_s": 1.0, "final": False}))
    held.worker.send(encode("failed", {"stage": "import", "traceback": "why"}))
    held.worker.close()
    held.pipe.send(encode("park"))
    held.pipe.finish()
    assert held.told.expect(WorkerFailed).traceback == "why"


def test_a_worker_that_never_reads_is_detached_and_does_not_block_the_master(held: Held) -> None:
    sent = 0
    while not held.told.facts and sent < 100000:
        held.pipe.send(encode("serve"))
        sent += 1
        held.told.facts += held.reactor.wait(None) if held.pipe._is_detached else []
    assert held.told.facts == [WorkerDetached(SLOT, "does not read its pipe")]
    assert sent > 100, "an ordinary life's orders must fit"
    held.pipe.send(encode("serve"))  # and nothing comes of telling it more


def test_what_is_sent_arrives_as_one_line(held: Held) -> None:
    held.pipe.send(encode("drain", {"timeout_s": 2.5, "final": True}))
    message = decode(held.worker.recv(1000))
    assert (message.verb, message.fields) == ("drain", {"timeout_s": 2.5, "final": True})


def test_a_flood_of_words_ends_with_the_budget_and_cuts_the_worker_off(held: Held) -> None:
    held.worker.send(encode("recycle", {"reason": "x"}) * 4000)
    told = held.told.expect(WorkerDetached)
    assert told.reason == f"wrote what is no message: more than {WORDS_MAX} messages in {WORDS_PERIOD_S:g} s"
    assert held.told.kinds() == ["RecycleRequested"] * WORDS_MAX + ["WorkerDetached"]


def test_the_budget_counts_messages_however_they_are_sent(held: Held) -> None:
    for _ in range(WORDS_MAX + 1):
        held.worker.send(encode("ready"))
    held.told.expect(WorkerDetached)
    assert held.told.kinds().count("WorkerReady") == WORDS_MAX


def test_what_a_worker_said_that_the_master_fails_at_cuts_that_worker_off() -> None:
    barrier = FaultBarrier(lambda *_, **__: None, lambda *_: None, lambda _: None)
    reactor = Reactor(barrier)
    ours, worker = socket_pair()
    listener = WorkerListener(reactor, SLOT, {"odd": lambda fields: fields["missing"]})  # type: ignore[arg-type, return-value]
    pipe = Pipe(reactor, ours, listener)
    pipe.listen()
    worker.send(encode("odd", {}))
    assert Told(reactor).expect(WorkerDetached).reason == "said what the master failed at"
    pipe.close()
    worker.close()
    reactor.close()
