"""A host without processes: performs the policy's orders on paper, and keeps the promises the real one keeps.

Workers boot, fail, crash, hang, recycle and leave when they are told to by the test, and obey orders as real workers
do: a message is read only by a loop that runs, SIGKILL always works. What a worker says waits in a queue until it is
delivered, so that facts and orders cross on their way. Every order is checked against what the policy promises.

Length: one host; what it checks and what it performs share the same processes.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

from supervisor_d.policy.supervisor import Supervisor
from supervisor_d.vocabulary import (
    Answer,
    DeadlineReached,
    DrainWorker,
    Fact,
    Generation,
    GenerationPrepared,
    GenerationRefused,
    HurryWorker,
    Instant,
    KillWorker,
    MeasureMemory,
    MemoryMeasured,
    Observation,
    ObserveWorkers,
    Order,
    ParkWorker,
    Pid,
    PrepareGeneration,
    RecordIncident,
    RecycleRequested,
    Report,
    RequesterGone,
    ServeWorker,
    Slot,
    SpawnFailed,
    SpawnWorker,
    Started,
    TellProgress,
    TerminateWorker,
    Terms,
    Ticket,
    WorkerBooted,
    WorkerDetached,
    WorkerDrained,
    WorkerDraining,
    WorkerExited,
    WorkerFailed,
    WorkerFinished,
    WorkerHeld,
    WorkerObserved,
    WorkerParked,
    WorkerReady,
    WorkerSpawned,
    WorkerStarted,
)
from supervisor_d.vocabulary.status import DaemonState

BOOT_STEPS = (WorkerBooted, WorkerStarted, WorkerReady)
RECYCLES = ("max-", "memory nearly", "asked for", "SIGTERM")
"""How the reasons of recycles begin."""


@dataclass
class Process:
    """One worker on paper."""

    slot: Slot
    pid: Pid
    generation: Generation
    steps: int = 0
    told: bool = False
    """Was told to serve."""
    draining: bool = False
    leaving: bool = False
    """Was told to serve no more, or goes by itself: who comes for it is not one too many."""
    silent_since: float | None = None
    stubborn: bool = False
    """Ignores everything but SIGKILL."""
    detached: bool = False
    dead: bool = False
    requests: int = 0
    errors: int = 0
    memory: int = 0

    @property
    def hears(self) -> bool:
        return not (self.stubborn or self.detached or self.dead) and self.silent_since is None

    @property
    def ready(self) -> bool:
        return self.steps == len(BOOT_STEPS) and not self.dead


class SimulatedHost:
    """Drives one Supervisor, and asserts after every order."""

    def __init__(self, terms: Terms, seed: int) -> None:
        self.terms = terms
        self.policy = Supervisor(terms, seed=seed)
        self.now = Instant(1000.0)
        self.queue: deque[Fact] = deque()
        self.processes: dict[Slot, Process] = {}
        self.serving: set[Slot] = set()
        self.recycled: set[Slot] = set()
        """Who drains because it is recycled."""
        self.target_most = 0
        self.preparing: Generation | None = None
        self.open: set[Ticket] = set()
        self.tickets = 0
        self.pids = 100
        self.refuse_spawns = False
        self.room = 4
        """How many workers fit into memory, where that is measured."""
        self.stopping = False
        self.repeats = 0
        self.told: deque[str] = deque(maxlen=400)
        self.tell(Started())

    @property
    def living(self) -> list[Process]:
        return [process for process in self.processes.values() if not process.dead]

    def ticket(self) -> Ticket:
        self.tickets += 1
        self.open.add(Ticket(self.tickets))
        return Ticket(self.tickets)

    def hang_up(self, ticket: Ticket) -> None:
        self.open.discard(ticket)
        self.tell(RequesterGone(ticket))

    def tell(self, fact: Fact) -> None:
        """Hand one fact over, and perform what comes back."""
        self.told.append(f"{self.now:.3f} {fact}")
        self._note_before(fact)
        before = self.policy.status(self.now).target
        orders = self.policy.receive(fact, self.now)
        after = self.policy.status(self.now).target
        target = min(before, after)
        self.target_most = max(self.target_most, after)
        for order in orders:
            self.told.append(f"    {order}")
            if isinstance(order, SpawnWorker):
                self._check_spawn(order, max(before, after))
            self._check(order, target)
            self._perform(order)

    def deliver(self) -> bool:
        """Hand over the oldest fact that waits; False if none does."""
        if not self.queue or self.policy.exit_code is not None:
            return False
        self.tell(self.queue.popleft())
        return True

    def advance(self, seconds: float, *, obliging: bool = False) -> None:
        """Let time pass; every deadline is kept. Obliging workers do whatever they should."""
        until = self.now + seconds
        while self.policy.exit_code is None:
            if obliging:
                self._oblige()
            deadline = self.policy.next_deadline
            if deadline is None or deadline > until:
                break
            self.repeats = self.repeats + 1 if deadline <= self.now else 0
            assert self.repeats < 5, "a deadline that is due does not go away"
            self.now = Instant(max(deadline, self.now))
            self.tell(DeadlineReached())
        self.now = Instant(max(until, self.now))

    def exit(self, process: Process, *, exit_code: int | None = 0, signal: str | None = None) -> None:
        if process.dead:
            return
        process.dead = True
        self.queue.append(WorkerExited(process.slot, process.pid, None if signal else exit_code, signal))

    def say(self, process: Process, fact: Fact) -> None:
        if not process.detached and not process.dead:
            self.queue.append(fact)

    def boot(self, process: Process) -> None:
        """The next step of its boot, or of its drain."""
        if process.steps < len(BOOT_STEPS):
            self.say(process, BOOT_STEPS[process.steps](process.slot))
            process.steps += 1
        elif process.draining and process.hears:
            self.say(process, WorkerFinished(process.slot))
            self.say(process, WorkerDrained(process.slot))
            self.say(process, WorkerHeld(process.slot, ("pool_0",), (), "Thread pool_0:"))
            self.say(process, WorkerDetached(process.slot, "closed its pipe"))
            self.exit(process)

    def fail_boot(self, process: Process) -> None:
        if process.steps < len(BOOT_STEPS) or not (process.told or process.draining):
            self.say(process, WorkerFailed(process.slot, "import", "Traceback\nImportError: no"))
            self.exit(process, exit_code=3)

    def terminate(self, process: Process) -> None:
        """SIGTERM, from the policy or from an operator behind its back."""
        if not process.hears or process.draining:
            return
        if process.ready and process.told:
            self.say(process, RecycleRequested(process.slot, "SIGTERM"))
            return
        if process.ready:
            self.say(process, WorkerDraining(process.slot))
        self.finish(process)

    def finish(self, process: Process) -> None:
        """Give up whatever is unfinished, and end."""
        if not process.hears:
            return
        if process.steps:
            self.say(process, WorkerDrained(process.slot))
            self.exit(process)
        else:
            self.exit(process, signal="SIGTERM")

    def detach(self, process: Process) -> None:
        self.say(process, WorkerDetached(process.slot, "closed its pipe"))
        process.detached = True

    def prepare(self, terms: Terms | None) -> None:
        """Answer the PrepareGeneration that is open, if one is."""
        if self.preparing is None:
            return
        generation, self.preparing = self.preparing, None
        if terms is None:
            self.queue.append(GenerationRefused(generation, "not sound"))
        else:
            self.queue.append(GenerationPrepared(generation, terms))

    def _oblige(self) -> None:
        self.refuse_spawns = False
        for _ in range(200):
            self.prepare(self.terms)
            while self.deliver():
                pass
            waiting = [process for process in self.living if not process.ready or process.draining]
            for process in self.living:
                process.silent_since, process.stubborn, process.errors = None, False, 0
                process.memory = 0
            for process in waiting:
                self.boot(process)
            if self.policy.exit_code is not None or (not self.queue and self.preparing is None):
                return
        raise AssertionError("the policy does not come to rest")

    def _note_leaving(self, slot: Slot) -> None:
        self.serving.discard(slot)
        if slot in self.processes:
            self.processes[slot].leaving = True

    def _note_before(self, fact: Fact) -> None:
        if isinstance(fact, (WorkerExited, SpawnFailed)):
            self.processes.pop(fact.slot, None)
        if isinstance(fact, (WorkerExited, WorkerDetached, WorkerDraining, WorkerDrained, WorkerFailed)):
            self._note_leaving(fact.slot)
        if isinstance(fact, WorkerExited):
            self.recycled.discard(fact.slot)

    def _check_spawn(self, order: SpawnWorker, target: int) -> None:
        """With the new one, a generation has one worker more than the target at most: the replacement in the making."""
        staying = [one for one in self.processes.values() if one.generation == order.generation and not one.leaving]
        assert len(staying) <= target, "two recycles at once: a second replacement is in the making"

    def _check(self, order: Order, target: int) -> None:
        match order:
            case Report(event, fields):
                assert event != "worker.illegal_transition", fields
                if event == "stop.requested" or event == "fleet.failed":
                    self.stopping = True
                if event in ("worker.suspected", "worker.boot_expired"):
                    self._note_leaving(Slot(int(str(fields["slot"]))))
                if event == "worker.draining" and str(fields["reason"]).startswith(RECYCLES):
                    self.recycled.add(Slot(int(str(fields["slot"]))))
                    assert len(self.recycled) <= self.target_most + self.terms.surge, "too many recycled ones drain"
            case ParkWorker(slot) | DrainWorker(slot) | HurryWorker(slot) | TerminateWorker(slot) if (
                slot in self.serving
            ):
                delaying = self.policy.status(self.now).state is DaemonState.DRAINING
                if not (self.stopping or delaying):
                    assert len(self.serving) - 1 >= target, f"slot {slot} was needed"
                self.serving.discard(slot)
            case KillWorker(slot):
                assert slot not in self.serving, f"slot {slot} serves"
            case Answer(ticket):
                assert ticket in self.open, f"ticket {ticket} is not open"
                self.open.discard(ticket)
            case RecordIncident(_, _, _, ticket) if ticket is not None:
                assert ticket in self.open, f"ticket {ticket} is not open"
                self.open.discard(ticket)
            case TellProgress(ticket):
                assert ticket in self.open, f"ticket {ticket} is not open"
            case _:
                pass

    def _perform(self, order: Order) -> None:
        match order:
            case PrepareGeneration(generation):
                self.preparing = generation
            case SpawnWorker(slot, generation):
                self._spawn(slot, generation)
            case ObserveWorkers(slots, memory):
                for slot in slots:
                    if slot in self.processes:
                        self.queue.append(WorkerObserved(slot, self._look(self.processes[slot], memory=memory)))
            case MeasureMemory(slot) if slot in self.processes and not self.processes[slot].dead:
                self.queue.append(MemoryMeasured(slot, 100, 100 * self.room, 1000))
            case (
                ServeWorker(slot)
                | ParkWorker(slot)
                | DrainWorker(slot)
                | HurryWorker(slot)
                | TerminateWorker(slot)
                | KillWorker(slot)
            ) if slot in self.processes:
                self._steer(order, self.processes[slot])
            case _:
                pass

    def _spawn(self, slot: Slot, generation: Generation) -> None:
        assert slot not in self.processes, f"slot {slot} holds a process"
        self.pids += 1
        if self.refuse_spawns:
            self.queue.append(SpawnFailed(slot, "no memory"))
            return
        self.processes[slot] = Process(slot, Pid(self.pids), generation)
        self.queue.append(WorkerSpawned(slot, Pid(self.pids)))

    def _steer(self, order: Order, process: Process) -> None:
        process.leaving = not isinstance(order, ServeWorker)
        match order:
            case KillWorker():
                self.exit(process, signal="SIGKILL")
            case ServeWorker(slot):
                self.serving.add(slot)
                process.told = True
            case ParkWorker(slot) if process.hears:
                self.say(process, WorkerParked(slot))
            case DrainWorker(slot) if process.hears:
                process.draining = True
                self.say(process, WorkerDraining(slot))
            case DrainWorker():
                process.draining = True
            case HurryWorker():
                assert process.draining, "only a worker that drains reads it so"
                self.finish(process)
            case TerminateWorker():
                assert not process.draining, "SIGTERM says nothing to a worker that drains"
                self.terminate(process)
            case _:
                pass

    def _look(self, process: Process, *, memory: bool) -> Observation:
        beat_at = Instant(self.now if process.silent_since is None else process.silent_since)
        return Observation(
            loop_beat_at=beat_at,
            thread_beat_at=beat_at,
            requests_total=process.requests,
            responses_5xx=process.errors,
            memory_bytes=process.memory if memory else None,
        )
