"""Values inside facts and orders: identities, and what the host can tell of a process or a request."""

from __future__ import annotations

import enum
import math
from typing import Final, NewType

from server_core.contract.messages import TERMINATE_GRACE_S as TERMINATE_GRACE_S
from server_core.records import dataclass

Instant = NewType("Instant", float)
"""A monotonic instant in seconds."""
Slot = NewType("Slot", int)
Generation = NewType("Generation", int)
Pid = NewType("Pid", int)
Ticket = NewType("Ticket", int)
"""Names one open control request that waits for its Answer."""


@dataclass(frozen=True, slots=True)
class Origin:
    """Who asked: by "signal" (how = "SIGHUP"), "control" (how = "reload"), "listener" (how = its address) or "policy".

    uid and pid where they are known.
    """

    by: str
    how: str
    pid: int | None = None
    uid: int | None = None

    def __str__(self) -> str:
        who = [f"{name} {value}" for name, value in (("uid", self.uid), ("pid", self.pid)) if value is not None]
        asked = self.how if self.by == "signal" else f"{self.how} by {self.by}"
        return asked + (f" from {', '.join(who)}" if who else "")


class ProcessState(enum.Enum):
    """What the kernel says of a process (proc(5), the state field)."""

    RUNNING = "running"
    STOPPED = "stopped"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Observation:
    """What the host saw of one worker when asked. Instants are monotonic seconds, 0.0 is never.

    `throttled_s` and `suspended_s` only ever grow: time the cgroup kept its processes from running (cpu.stat), and
    time the machine was suspended. So does `starved_s`: time its main thread could run and had no CPU. `memory_bytes`
    is the PSS, or None if memory was not asked for.
    """

    loop_beat_at: Instant
    thread_beat_at: Instant
    process_state: ProcessState = ProcessState.RUNNING
    requests_total: int = 0
    responses_5xx: int = 0
    in_flight: int = 0
    memory_bytes: int | None = None
    throttled_s: float = 0.0
    suspended_s: float = 0.0
    starved_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Change:
    """One setting that a re-read configuration changes; `applies` is "reload" or "restart"."""

    name: str
    old: str
    new: str
    applies: str


@dataclass(frozen=True, slots=True)
class Terms:
    """What policy needs of the settings; all durations in seconds, sizes in bytes, 0 means off where it can be off.

    A reload may bring new terms (GenerationPrepared): they hold from then on.
    """

    workers: int = 1
    fit_memory: bool = False
    """`workers` is only the most there may be: fewer, if the memory limit has no room for so many."""
    max_workers: int = 1024
    """The most that scaling may reach without force."""
    births: int = 64
    """The most workers that boot at once."""
    timeout: float = 30.0
    boot_timeout: float = 60.0
    graceful_timeout: float = 30.0
    shutdown_delay: float = 0.0
    beat_s: float = 1.0
    watch_s: float = 7.5
    soak: float = 0.0
    surge: int = 1
    park: bool = True
    max_age: float = 0.0
    max_memory: int = 0
    memory_limited: bool = False
    """Our cgroup, or one above it, has a memory limit."""
    exit_when_failed: bool = False

    @property
    def silence_s(self) -> float:
        """The longest that a worker's event loop may be silent; infinite where `timeout` is off."""
        return self.timeout or math.inf


FAULTED: Final = "the daemon failed at this; its log and `ctl incidents` say how"
"""The answer to a client whose request met an error in the daemon."""


def error_body(reason: str, **more: object) -> dict[str, object]:
    """The object of every answer of the control API that is no success: one sentence under `error`, then the rest."""
    return {"error": reason, **more}
