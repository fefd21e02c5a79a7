"""Facts, in past participles: what happened, as the host tells the policy.

Length: one small record after another, and all that the policy can be told is in one place.
"""

from __future__ import annotations

from typing import TypeAlias

from server_core.records import dataclass
from supervisor_d.vocabulary.orphans import OrphanExited, OrphansFound
from supervisor_d.vocabulary.values import Change, Generation, Observation, Origin, Pid, Slot, Terms, Ticket


@dataclass(frozen=True, slots=True)
class Started:
    """The master is up: listeners are open. The first fact, once."""


@dataclass(frozen=True, slots=True)
class DeadlineReached:
    """The instant that policy named as its next deadline has come."""


@dataclass(frozen=True, slots=True)
class WorkerSpawned:
    slot: Slot
    pid: Pid
    role: str | None = None  # what it is to be if it is not to serve: template or zygote


@dataclass(frozen=True, slots=True)
class SpawnFailed:
    slot: Slot
    error: str


@dataclass(frozen=True, slots=True)
class WorkerBooted:
    """The interpreter is up and can be asked for its stacks; the import of the application begins."""

    slot: Slot


@dataclass(frozen=True, slots=True)
class WorkerPreloaded:
    """The process has imported the application for all, and left the slot; a worker that is forked from it follows."""

    slot: Slot


@dataclass(frozen=True, slots=True)
class WorkerStarted:
    """Lifespan start-up is complete; the health probe, if any, begins."""

    slot: Slot


@dataclass(frozen=True, slots=True)
class WorkerReady:
    slot: Slot


@dataclass(frozen=True, slots=True)
class WorkerFailed:
    """The worker could not boot, and says why; its exit follows. `stage` is import, lifespan, probe or spec."""

    slot: Slot
    stage: str
    traceback: str


@dataclass(frozen=True, slots=True)
class WorkerParked:
    slot: Slot


@dataclass(frozen=True, slots=True)
class WorkerDraining:
    slot: Slot


@dataclass(frozen=True, slots=True)
class WorkerFinished:
    """Its requests are over; its lifespan shutdown begins, in which the event loop may block."""

    slot: Slot


@dataclass(frozen=True, slots=True)
class WorkerDrained:
    slot: Slot


@dataclass(frozen=True, slots=True)
class WorkerHeld:
    """It has not ended though it was drained, for these threads (it waits for them no longer) or child processes."""

    slot: Slot
    threads: tuple[str, ...]
    processes: tuple[str, ...]
    stacks: str


@dataclass(frozen=True, slots=True)
class WorkerStuck:
    """Threads of its WSGI application have run one request each for longer than `timeout`; the others go on.

    `where` is the application's innermost call in the one that is stuck longest, for `oldest_s` seconds.
    """

    slot: Slot
    busy: int
    threads: int
    queued: int
    oldest_s: float
    where: str
    stacks: str


@dataclass(frozen=True, slots=True)
class RecycleRequested:
    """A worker asks to be replaced; it goes on serving until its replacement is ready."""

    slot: Slot
    reason: str


@dataclass(frozen=True, slots=True)
class RecordRefused:
    """A worker's scoreboard record says what cannot be true; told once of each process. `fault` names the number."""

    slot: Slot
    fault: str


@dataclass(frozen=True, slots=True)
class WorkerObserved:
    slot: Slot
    observation: Observation


@dataclass(frozen=True, slots=True)
class WorkerDetached:
    """The worker closed its pipe, or wrote what is no message; the process may still live."""

    slot: Slot
    reason: str


@dataclass(frozen=True, slots=True)
class WorkerExited:
    """The process is gone and reaped. Exactly one of exit_code and signal is set; signal is a name ("SIGKILL").

    `oom_killed` is True only if the cgroup's own counter of OOM kills rose.
    """

    slot: Slot
    pid: Pid
    exit_code: int | None
    signal: str | None
    oom_killed: bool = False


@dataclass(frozen=True, slots=True)
class MemoryNearLimit:
    """The cgroup's memory is nearly used up; `slot` is the fattest of the workers that CheckMemory named."""

    slot: Slot
    used_bytes: int
    limit_bytes: int


@dataclass(frozen=True, slots=True)
class MemoryMeasured:
    """What one worker weighs (PSS), and how much all workers together may use before memory is nearly used up.

    limit_bytes is 0 if nothing limits memory any more.
    """

    slot: Slot
    worker_bytes: int
    room_bytes: int
    limit_bytes: int


@dataclass(frozen=True, slots=True)
class ScaleRequested:
    """`change` is absolute where `relative` is False; `force` goes beyond the terms' max_workers."""

    origin: Origin
    change: int
    relative: bool
    ticket: Ticket | None = None
    force: bool = False


@dataclass(frozen=True, slots=True)
class ReloadRequested:
    """The ticket, if any, gets the progress and the verdict; dry_run boots one canary and discards it."""

    origin: Origin
    ticket: Ticket | None = None
    dry_run: bool = False


@dataclass(frozen=True, slots=True)
class RestartRequested:
    """Replace one worker, replacement first."""

    origin: Origin
    slot: Slot
    ticket: Ticket | None = None


@dataclass(frozen=True, slots=True)
class DumpRequested:
    """Tell the stacks of one worker's threads now."""

    origin: Origin
    slot: Slot
    ticket: Ticket | None = None


@dataclass(frozen=True, slots=True)
class StopRequested:
    origin: Origin
    fast: bool
    ticket: Ticket | None = None


@dataclass(frozen=True, slots=True)
class ListenerLost:
    """Clients do not reach a listener any more: it was shut down, or its socket file is gone or another's."""

    address: str
    reason: str


@dataclass(frozen=True, slots=True)
class ListenerRestored:
    """It listens again; where another socket had to be bound, a reload is asked for as well."""

    address: str


@dataclass(frozen=True, slots=True)
class MasterFailing:
    """The master's own work failed again and again: the daemon is to end in good order, while that can be had."""

    reason: str


@dataclass(frozen=True, slots=True)
class ReopenRequested:
    origin: Origin


@dataclass(frozen=True, slots=True)
class GenerationPrepared:
    """The configuration was read again, and is sound; workers of this generation will be spawned with it."""

    generation: Generation
    terms: Terms
    changes: tuple[Change, ...] = ()


@dataclass(frozen=True, slots=True)
class GenerationRefused:
    """The configuration was read again, and is not sound."""

    generation: Generation
    reason: str


@dataclass(frozen=True, slots=True)
class RequesterGone:
    """The client that holds this ticket has closed its connection; nothing more is sent to it."""

    ticket: Ticket


Fact: TypeAlias = (
    Started
    | DeadlineReached
    | WorkerSpawned
    | SpawnFailed
    | WorkerBooted
    | WorkerPreloaded
    | WorkerStarted
    | WorkerReady
    | WorkerFailed
    | WorkerParked
    | WorkerDraining
    | WorkerFinished
    | WorkerDrained
    | WorkerHeld
    | WorkerStuck
    | RecycleRequested
    | RecordRefused
    | WorkerObserved
    | WorkerDetached
    | WorkerExited
    | OrphansFound
    | OrphanExited
    | MemoryNearLimit
    | MemoryMeasured
    | ScaleRequested
    | ReloadRequested
    | RestartRequested
    | DumpRequested
    | StopRequested
    | ReopenRequested
    | ListenerLost
    | ListenerRestored
    | MasterFailing
    | GenerationPrepared
    | GenerationRefused
    | RequesterGone
)
