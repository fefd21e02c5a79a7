"""Orders, in imperatives: what the policy wants done, as the host performs it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from typing import TypeAlias

from server_core.records import dataclass
from supervisor_d.vocabulary.orphans import KillOrphans, TerminateOrphans
from supervisor_d.vocabulary.values import Generation, Slot, Ticket


@dataclass(frozen=True, slots=True)
class PrepareGeneration:
    """Read the configuration again for this generation; answered by GenerationPrepared or GenerationRefused."""

    generation: Generation


@dataclass(frozen=True, slots=True)
class DiscardGeneration:
    """Forget the configuration of a generation that was rolled back."""

    generation: Generation


@dataclass(frozen=True, slots=True)
class SpawnWorker:
    slot: Slot
    generation: Generation
    index: int = 0


@dataclass(frozen=True, slots=True)
class ServeWorker:
    """Let the worker accept (for the first time, or again after it was parked)."""

    slot: Slot


@dataclass(frozen=True, slots=True)
class ParkWorker:
    """Let the worker accept no more but stay alive."""

    slot: Slot


@dataclass(frozen=True, slots=True)
class DrainWorker:
    """Let the worker finish within timeout_s and exit. final: no worker follows, so it empties the accept queues."""

    slot: Slot
    timeout_s: float
    final: bool = False


@dataclass(frozen=True, slots=True)
class HurryWorker:
    """Have a draining worker give up whatever is unfinished; lifespan shutdown still runs."""

    slot: Slot


@dataclass(frozen=True, slots=True)
class TerminateWorker:
    """SIGTERM to a worker that has not served: it leaves, whatever step of its boot is under way."""

    slot: Slot


@dataclass(frozen=True, slots=True)
class KillWorker:
    """SIGKILL (and SIGCONT is not needed for it: signal(7))."""

    slot: Slot


@dataclass(frozen=True, slots=True)
class ObserveWorkers:
    """Look at these workers now; one WorkerObserved each. `memory` asks for the PSS, too, which costs a walk."""

    slots: tuple[Slot, ...]
    memory: bool = False


@dataclass(frozen=True, slots=True)
class MeasureMemory:
    """Weigh this worker against the memory limit; answered by MemoryMeasured, unless its process is gone."""

    slot: Slot


@dataclass(frozen=True, slots=True)
class CheckMemory:
    """Look whether the cgroup's memory is nearly used up; if so, MemoryNearLimit tells the fattest of these workers."""

    slots: tuple[Slot, ...]


@dataclass(frozen=True, slots=True)
class RequestStacks:
    """Have the worker write the stacks of its threads; they are there a moment later, if it can."""

    slot: Slot


@dataclass(frozen=True, slots=True)
class RecordIncident:
    """Keep and report what is known of a worker in trouble: stacks as written so far, in-flight requests, figures.

    `kind` is loop_blocked, interpreter_held, process_stopped, boot_timeout, drain_timeout, exit_held,
    thread_stuck or dump. With a ticket, the incident is also the answer to it. With `stacks` these are kept, and not
    those that were asked for. `reason` says in one line what there is to say besides.
    """

    slot: Slot
    kind: str
    silent_s: float
    ticket: Ticket | None = None
    stacks: str | None = None
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class EndBirths:
    """The end of the daemon begins: no worker is spawned any more, and what only waits for one ends."""


@dataclass(frozen=True, slots=True)
class CloseListeners:
    """Close the listeners: no process accepts any more. Unix sockets of our own are unlinked.

    Sockets of our own are shut down, which closes them in all processes: one that the application forked may have a
    copy. spare_waiting: a worker still has copies, and may hang. A TCP socket is left as it is while a client waits in
    its queue, since the worker may yet accept it.
    """

    spare_waiting: bool = False


@dataclass(frozen=True, slots=True)
class ReopenLogs:
    """Reopen log files here and in these workers."""

    slots: tuple[Slot, ...]


@dataclass(frozen=True, slots=True)
class Report:
    """Write one event to the log; `event` is declared in supervisor_d.log.EVENTS."""

    event: str
    fields: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class TellProgress:
    """Tell an open ticket how far its request is; the answer is still to come."""

    ticket: Ticket
    body: Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Answer:
    """Answer a ticket, finally. `status` is an HTTP status: 200 done, 202 taken, 404, 409 refused, 500 failed."""

    ticket: Ticket
    status: int
    body: Mapping[str, object]


Order: TypeAlias = (
    PrepareGeneration
    | DiscardGeneration
    | SpawnWorker
    | ServeWorker
    | ParkWorker
    | DrainWorker
    | HurryWorker
    | TerminateWorker
    | KillWorker
    | TerminateOrphans
    | KillOrphans
    | ObserveWorkers
    | CheckMemory
    | MeasureMemory
    | RequestStacks
    | RecordIncident
    | EndBirths
    | CloseListeners
    | ReopenLogs
    | Report
    | TellProgress
    | Answer
)
