"""The one window into the policy: an immutable snapshot that control, metrics and systemd may see, and no more.

Field names are an interface (DESIGN.md section 3): fields may be added, never renamed. Figures of processes
(requests, memory) are not here: the renderer of a snapshot adds them from the scoreboard and the kernel.
"""

from __future__ import annotations

import enum

from server_core.records import dataclass
from supervisor_d.vocabulary.values import Generation, Instant, Origin, Pid, Slot


class DaemonState(enum.Enum):
    STARTING = "starting"
    SERVING = "serving"
    RELOADING = "reloading"
    DEGRADED = "degraded"
    DRAINING = "draining"


class SlotState(enum.Enum):
    """Where one worker is in its life; EMPTY slots appear in no status."""

    EMPTY = "empty"
    SPAWNING = "spawning"
    BOOTING = "booting"
    PROBING = "probing"
    READY = "ready"
    SUSPECT = "suspect"
    PARKED = "parked"
    DRAINING = "draining"
    TERMINATING = "terminating"
    KILLING = "killing"
    BACKOFF = "backoff"


@dataclass(frozen=True, slots=True)
class LastExit:
    """How the process before this one in the slot ended. `cause` is a word: exited, crashed, boot_failed, hung, ...

    `reason` is the sentence for a person: "killed by SIGKILL", "asked to recycle: max-requests 500 reached", ...
    """

    cause: str
    exit_code: int | None
    signal: str | None
    at: Instant
    reason: str = ""


@dataclass(frozen=True, slots=True)
class SlotStatus:
    slot: Slot
    pid: Pid | None
    generation: Generation
    state: SlotState
    since: Instant
    spawned_at: Instant | None
    restarts: int
    last_exit: LastExit | None
    reason: str = ""
    """Why the slot is in a state that is not plain serving: the back-off's cause, the recycle's reason, ..."""
    retry_at: Instant | None = None
    index: int = 0
    """0 to N-1 within the generation, for as long as successors follow."""


@dataclass(frozen=True, slots=True)
class LastReload:
    """`outcome` is committed or rolled_back."""

    outcome: str
    reason: str
    generation: Generation
    duration_s: float
    origin: Origin


@dataclass(frozen=True, slots=True)
class ReloadStatus:
    """A reload under way: `phase` is preparing, canary, rolling, soak or rolling_back."""

    phase: str
    generation: Generation
    replaced: int
    target: int
    since: Instant


@dataclass(frozen=True, slots=True)
class SizingStatus:
    """What the setting `workers` came to: None until it is known; `reason` is memory's share in it, if it has one."""

    workers: int | None
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Status:
    state: DaemonState
    generation: Generation
    target: int
    ready: int
    slots: tuple[SlotStatus, ...]
    last_reload: LastReload | None
    reload: ReloadStatus | None
    reason: str = ""
    """Why the state is degraded, or how long draining may take; empty when there is nothing to say."""
    sizing: SizingStatus = SizingStatus(None)
    lost_listeners: tuple[str, ...] = ()
    """Addresses at which no client reaches us."""

    @property
    def accepts_traffic(self) -> bool:
        """True if a load balancer may send requests: a worker and all listeners are ready, and no stop is asked."""
        return self.ready > 0 and not self.lost_listeners and self.state is not DaemonState.DRAINING
