"""The worker handle: the policy's record of one slot, of the process in it, and of its deadlines.

A handle outlives its process: restarts, failures in a row and the last exit belong to the slot. What belongs to the
process is set anew at each spawn, and `birth` tells one process of a slot from the next.
"""

from __future__ import annotations

import enum
import math
from collections.abc import Mapping
from dataclasses import field
from typing import Final

from server_core.records import dataclass
from supervisor_d.policy.lifecycle import COMING, VACANT, Cause, next_state
from supervisor_d.vocabulary import Generation, Instant, Observation, Pid, Slot
from supervisor_d.vocabulary.status import LastExit, SlotState, SlotStatus

NO_GENERATION: Final = Generation(0)
NEVER: Final = Instant(0.0)


class Alarm(enum.Enum):
    """What may be due in a slot; each is armed at most once."""

    BOOT = "not ready in time"
    LOOK = "time to look at the beats"
    RECORD = "the stacks are written: record the incident"
    AGE = "max-age"
    STACKS = "the drain is nearly out of time: ask for the stacks"
    DRAIN = "the drain is out of time"
    KILL = "did not go by itself"
    HOLD = "the successor waits no longer for this place"
    ABANDON = "did not even go by SIGKILL"
    RETRY = "the back-off is over"


ALARMS: Final[Mapping[SlotState, frozenset[Alarm]]] = {
    SlotState.EMPTY: frozenset(),
    SlotState.SPAWNING: frozenset((Alarm.BOOT,)),
    SlotState.BOOTING: frozenset((Alarm.BOOT,)),
    SlotState.PROBING: frozenset((Alarm.BOOT,)),
    SlotState.READY: frozenset((Alarm.LOOK, Alarm.AGE)),
    SlotState.SUSPECT: frozenset((Alarm.LOOK, Alarm.RECORD, Alarm.AGE)),
    SlotState.PARKED: frozenset((Alarm.LOOK, Alarm.RECORD, Alarm.AGE)),
    SlotState.DRAINING: frozenset((Alarm.LOOK, Alarm.RECORD, Alarm.STACKS, Alarm.DRAIN)),
    SlotState.TERMINATING: frozenset((Alarm.RECORD, Alarm.KILL, Alarm.HOLD)),
    SlotState.KILLING: frozenset((Alarm.HOLD, Alarm.ABANDON)),
    SlotState.BACKOFF: frozenset((Alarm.RETRY,)),
}
"""The alarms that mean something in a state; entering it disarms all others."""


class Fate(enum.Enum):
    """How the end of a process will be told when it comes. All but LEFT are its failure; LEFT was asked for."""

    LEFT = "exited"
    TERMINATED = "terminated"
    KILLED = "killed"
    CRASHED = "crashed"
    BOOT_FAILED = "boot_failed"
    BOOT_EXPIRED = "boot_expired"
    SPAWN_FAILED = "spawn_failed"
    HUNG = "hung"
    DETACHED = "detached"
    ILLEGAL = "illegal_transition"


class Departure(enum.IntEnum):
    """How far a worker is in leaving in order, as it says itself; each step includes those before it."""

    NONE = 0
    ANNOUNCED = 1
    """It has said that it leaves, and closed its listeners."""
    FINISHED = 2
    """Its requests are over: its beats do not count any more, as its lifespan shutdown may block its event loop."""
    DRAINED = 3
    """Its event loop has ended; the exit follows."""


@dataclass(frozen=True, slots=True)
class Trouble:
    """A silence that passed the soft limit. `beat_at` is the last beat before it; kill_at is the hard limit.

    `reason_before` is what the slot's reason was, for when it beats again.
    """

    kind: str
    reason_before: str
    beat_at: Instant
    kill_at: Instant


@dataclass(slots=True)
class Handle:
    """One slot. Mutable, and moved only through `move`."""

    slot: Slot
    generation: Generation = NO_GENERATION
    index: int = 0
    """Its place in the generation, 0 to N-1 (indexes.py); a successor in the same slot has it, too."""
    state: SlotState = SlotState.EMPTY
    since: Instant = NEVER
    birth: int = 0
    pid: Pid | None = None
    spawned_at: Instant | None = None
    ready_at: Instant | None = None
    serves: bool = False
    departure: Departure = Departure.NONE
    distrusted: bool = False
    """Its record said what cannot be true: that it does not beat may be untrue, too."""
    pipe_closed: bool = False
    held: bool = False
    """The place is kept for a successor in the same slot, which comes when this process is gone."""
    left_behind: bool = False
    """Not even SIGKILL has ended it in a stop: it is not waited for, and what it still does means nothing."""
    fate: Fate | None = None
    reason: str = ""
    beat_at: Instant = NEVER
    baseline: Observation | None = None
    """The last observation at which the loop was not silent."""
    extended: bool = False
    trouble: Trouble | None = None
    alarms: dict[Alarm, Instant] = field(default_factory=dict)
    failures: int = 0
    """Unasked ends in a row, without a while of being ready in between."""
    restarts: int = 0
    last_exit: LastExit | None = None

    def move(self, cause: Cause, now: Instant) -> None:
        """Go where the cause leads, and disarm what means nothing there; IllegalTransition if it leads nowhere."""
        self._enter(next_state(self.slot, self.state, cause), now)

    def condemn(self, now: Instant) -> None:
        """Go to KILLING whatever the table says: the way out of an illegal transition."""
        self._enter(SlotState.KILLING, now)

    def _enter(self, state: SlotState, now: Instant) -> None:
        if state is not self.state:
            self.state = state
            self.since = now
            self.serves = self.serves and state is SlotState.READY
        for alarm in [alarm for alarm in self.alarms if alarm not in ALARMS[state]]:
            del self.alarms[alarm]

    def begin(self, generation: Generation, now: Instant) -> None:
        """Forget the process that was here; another one is being spawned."""
        self.birth += 1
        self.generation = generation
        self.pid = self.ready_at = self.fate = self.baseline = self.trouble = None
        self.spawned_at = now
        self.departure = Departure.NONE
        self.serves = self.pipe_closed = self.held = self.extended = self.left_behind = self.distrusted = False
        self.reason = ""

    def arm(self, alarm: Alarm, at: float) -> None:
        """Have it come at this instant, whatever it was armed for before; never at an infinite one."""
        self.alarms.pop(alarm, None)
        if at < math.inf:
            self.alarms[alarm] = Instant(at)

    def depart(self, step: Departure) -> None:
        """It has taken this step; a late message about an earlier one takes nothing back."""
        self.departure = max(self.departure, step)

    @property
    def has_left(self) -> bool:
        return self.departure >= Departure.ANNOUNCED

    @property
    def finished(self) -> bool:
        return self.departure >= Departure.FINISHED

    @property
    def drained(self) -> bool:
        return self.departure is Departure.DRAINED

    @property
    def alive(self) -> bool:
        return self.state not in VACANT

    @property
    def coming(self) -> bool:
        return self.state in COMING

    @property
    def ready(self) -> bool:
        """True if it serves, as far as is known."""
        return self.state is SlotState.READY and self.serves

    @property
    def stays(self) -> bool:
        """True if the slot counts for the target: it serves, or a worker will serve in it without further decision."""
        return self.state in (SlotState.READY, SlotState.BACKOFF) or self.coming or self.held

    def age_s(self, now: Instant) -> float:
        """Seconds since its process was spawned."""
        return round(now - self.spawned_at, 3) if self.spawned_at is not None else 0.0

    def status(self) -> SlotStatus:
        return SlotStatus(
            slot=self.slot,
            pid=self.pid,
            generation=self.generation,
            index=self.index,
            state=self.state,
            since=self.since,
            spawned_at=self.spawned_at if self.alive else None,
            restarts=self.restarts,
            last_exit=self.last_exit,
            reason=self.reason,
            retry_at=self.alarms.get(Alarm.RETRY),
        )
