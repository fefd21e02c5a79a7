"""Runs a policy transcript: instants and facts in, everything the policy decided out, in words.

A scenario is a text file:

    # what it claims
    terms workers=2 timeout=3

    at 0.0
    Started
    ----
    SpawnWorker slot=1 generation=1
    ...

`at` advances to an instant. On the way every deadline that the policy named is told as DeadlineReached, and what it
ordered then stands below a line `at T DeadlineReached`. After `----` stand the orders, as they were given. Values are
Python literals; an origin is written by:how. These lines are no facts:

    boot slot=1 pid=11         WorkerSpawned, WorkerBooted, WorkerStarted and WorkerReady, one after the other
    seen slot=1 ...            what looks at this worker show from now on; without it, a worker that beats
    silent slot=1 ...          the same, and its loop beats no more from now on; thread=True if the other thread does
    mute slot=1                looks at this worker are not answered any more
    late 60                    advances, but tells DeadlineReached only then: the master was held up
    status                     writes the snapshot down

Looks (ObserveWorkers) are answered at once, as the host does.
"""

from __future__ import annotations

import ast
import dataclasses
import enum
from collections.abc import Iterator, Mapping

from supervisor_d import vocabulary
from supervisor_d.policy.supervisor import Supervisor
from supervisor_d.vocabulary import (
    Change,
    CheckMemory,
    DeadlineReached,
    Fact,
    Instant,
    Observation,
    ObserveWorkers,
    Order,
    Origin,
    ProcessState,
    Report,
    Slot,
    Terms,
    WorkerObserved,
)
from supervisor_d.vocabulary.status import Status

SEPARATOR = "----"
DEADLINES_MAX = 200


def replay(text: str, reports: list[Report]) -> str:
    """The scenario with the orders it gets now; equal to `text` if nothing has changed. Its reports are appended."""
    lines = text.splitlines()
    head = lines[: _first_block(lines)]
    terms = next((line for line in head if line.startswith("terms")), "terms")
    run = _Run(Terms(**_values(terms)), reports)  # type: ignore[arg-type]  # literals from the transcript
    written = "\n".join(head).rstrip() + "\n"
    for inputs in _inputs(lines[_first_block(lines) :]):
        written += "\n" + "\n".join(inputs) + "\n" + SEPARATOR + "\n"
        written += "".join(f"{line}\n" for line in run.take(inputs))
    return written


class _Run:
    """The policy, and the little of a host that answers looks."""

    def __init__(self, terms: Terms, reports: list[Report]) -> None:
        self.terms = terms
        self.reports = reports
        self.policy = Supervisor(terms, seed=1)
        self.now = Instant(0.0)
        self.seen: dict[int, dict[str, object]] = {}
        self.mute: set[int] = set()

    def take(self, inputs: list[str]) -> Iterator[str]:
        for line in inputs:
            if line.startswith("at "):
                yield from self._advance(float(line.removeprefix("at ")))
            elif line.startswith("late "):
                self.now = Instant(float(line.removeprefix("late ")))
                yield from self._tell(DeadlineReached())
            elif line == "status":
                yield from render_status(self.policy.status(self.now))
            elif line.startswith(("seen ", "silent ", "mute ")):
                self._set_scene(line)
            else:
                for fact in parse_facts(line, self.terms):
                    yield from self._tell(fact)
        if self.policy.exit_code is not None:
            yield f"exit {self.policy.exit_code}"

    def _tell(self, fact: Fact) -> Iterator[str]:
        orders = self.policy.receive(fact, self.now)
        yield from map(render, orders)
        self.reports.extend(order for order in orders if isinstance(order, Report))
        for order in orders:
            if isinstance(order, ObserveWorkers):
                for slot in [slot for slot in order.slots if slot not in self.mute]:
                    yield from self._tell(WorkerObserved(slot, self._look(slot, memory=order.memory)))

    def _look(self, slot: Slot, *, memory: bool) -> Observation:
        seen = {"loop_beat_at": self.now, "thread_beat_at": self.now, **self.seen.get(slot, {})}
        if not memory:
            seen.pop("memory_bytes", None)
        return Observation(**seen)  # type: ignore[arg-type]  # literals from the transcript

    def _set_scene(self, line: str) -> None:
        values = _values(line)
        slot = values.pop("slot")
        assert isinstance(slot, int)
        if line.startswith("mute"):
            self.mute.add(slot)
            return
        self.mute.discard(slot)
        if "process_state" in values:
            values["process_state"] = ProcessState(values["process_state"])
        if line.startswith("silent"):
            values.setdefault("loop_beat_at", self.now)
            if not values.pop("thread", False):
                values["thread_beat_at"] = self.now
        self.seen[slot] = values

    def _advance(self, until: float) -> Iterator[str]:
        for _ in range(DEADLINES_MAX):
            deadline = self.policy.next_deadline
            if deadline is None or deadline > until or self.policy.exit_code is not None:
                self.now = Instant(until)
                return
            self.now = Instant(max(deadline, self.now))
            yield f"at {self.now:.3f} DeadlineReached"
            yield from self._tell(DeadlineReached())
        raise AssertionError(f"more than {DEADLINES_MAX} deadlines before {until}")


def _first_block(lines: list[str]) -> int:
    return next((index for index, line in enumerate(lines) if line.startswith("at ")), len(lines))


def _inputs(lines: list[str]) -> Iterator[list[str]]:
    """The lines between an empty line and a separator, block by block."""
    block: list[str] = []
    reading = True
    for line in [*lines, ""]:
        if line == SEPARATOR:
            if not block:
                raise AssertionError("a block without facts")
            yield block
            block, reading = [], False
        elif not line.strip():
            reading = True
        elif reading:
            block.append(line)
    if block:
        yield block


def _values(line: str) -> dict[str, object]:
    """`name key=value key=value` as a mapping; values are Python literals without spaces outside quotes."""
    call = ast.parse(f"f({_commas(line.partition(' ')[2])})", mode="eval").body
    assert isinstance(call, ast.Call)
    return {str(keyword.arg): _literal(keyword.value) for keyword in call.keywords}


def _literal(node: ast.expr) -> object:
    return ast.literal_eval(node)


def _commas(text: str) -> str:
    quoted = False
    written = ""
    for letter in text.strip():
        quoted ^= letter == '"'
        written += "," if letter == " " and not quoted else letter
    return written


def parse_facts(line: str, terms: Terms) -> Iterator[Fact]:
    """The facts in one line; what a line need not say has the vocabulary's default."""
    name, values = line.split()[0], _values(line)
    if name == "boot":
        slot, pid = values["slot"], values["pid"]
        yield vocabulary.WorkerSpawned(slot, pid)  # type: ignore[arg-type]  # literals from the transcript
        for booting in (vocabulary.WorkerBooted, vocabulary.WorkerStarted, vocabulary.WorkerReady):
            yield booting(slot)  # type: ignore[arg-type]  # the same
        return
    yield _parse_fact(name, values, terms)


def _parse_fact(name: str, values: dict[str, object], terms: Terms) -> Fact:
    if name == "WorkerObserved":
        values.setdefault("thread_beat_at", values["loop_beat_at"])
        slot = values.pop("slot")
        return WorkerObserved(slot, Observation(**values))  # type: ignore[arg-type]  # literals from the transcript
    if name == "OrphansFound":
        orphans, ends = values["orphans"], values["left_by"]
        assert isinstance(orphans, tuple)
        assert isinstance(ends, tuple)
        return vocabulary.OrphansFound(
            tuple(vocabulary.Orphan(*each) for each in orphans), tuple(vocabulary.WorkerEnd(*each) for each in ends)
        )
    if name == "WorkerExited":
        values = {"pid": 0, "exit_code": None, "signal": None, **values}
    if name == "GenerationPrepared":
        generation = values.pop("generation")
        changes = tuple(Change(field, str(getattr(terms, field)), str(new), "reload") for field, new in values.items())
        new_terms = dataclasses.replace(terms, **values)  # type: ignore[arg-type]  # the same
        return vocabulary.GenerationPrepared(generation, new_terms, changes)  # type: ignore[arg-type]  # the same
    if "origin" in values:
        by, _, how = str(values["origin"]).partition(":")
        values["origin"] = Origin(by, how)
    fact = getattr(vocabulary, name)(**values)
    assert not isinstance(fact, Report)
    return fact  # type: ignore[no-any-return]  # by name, from the vocabulary


def render(order: Order) -> str:
    """One order in one line."""
    if isinstance(order, Report):
        return f"Report {order.event}" + _render_mapping(order.fields)
    if isinstance(order, ObserveWorkers):
        return f"ObserveWorkers slots={','.join(map(str, order.slots))}" + (" memory=True" if order.memory else "")
    if isinstance(order, CheckMemory):
        return f"CheckMemory slots={','.join(map(str, order.slots))}"
    values = {field.name: getattr(order, field.name) for field in dataclasses.fields(order)}
    body = values.pop("body", None)
    written = f"{type(order).__name__}" + _render_mapping(
        {name: value for name, value in values.items() if value is not None}
    )
    return written + (_render_mapping(body) if body is not None else "")


def _render_mapping(values: Mapping[str, object]) -> str:
    return "".join(f" {name}={_render_value(value)}" for name, value in values.items())


def _render_value(value: object) -> str:
    if isinstance(value, str) and value.replace("_", "").replace(".", "").isalnum():
        return value
    if isinstance(value, float):
        return f"{value:g}"
    return repr(value) if not isinstance(value, str) else '"' + value.replace("\n", "\\n") + '"'


def render_status(status: Status) -> Iterator[str]:
    yield f"status {status.state.value} generation={status.generation} target={status.target} ready={status.ready}" + (
        f' reason="{status.reason}"' if status.reason else ""
    )
    if status.lost_listeners:
        yield f"  lost {', '.join(status.lost_listeners)}"
    for slot in status.slots:
        yield "  " + " ".join(
            f"{field.name}={_render_value(value.value if isinstance(value, enum.Enum) else value)}"
            for field in dataclasses.fields(slot)
            if (value := getattr(slot, field.name)) not in (None, "", 0) and field.name not in ("last_exit",)
        )
        if slot.last_exit is not None:
            yield f'    last_exit {slot.last_exit.cause}: "{slot.last_exit.reason}"'
    if status.reload is not None:
        yield f"  reload {status.reload.phase} generation={status.reload.generation} replaced={status.reload.replaced}"
    if status.last_reload is not None:
        last = status.last_reload
        yield f'  last_reload {last.outcome} generation={last.generation} reason="{last.reason}" origin="{last.origin}"'
