"""The life of one worker as a table: State x Cause -> State, and the pairs that cannot happen, with the reason why.

Everything about legality lives here, and this module knows neither orders nor time. A cause is either something the
policy decided (an imperative: SPAWN, DRAIN) or a fact it was told (a past participle: SPAWNED, EXITED). Decisions
move a slot at the moment they are ordered: a worker that was asked to park is PARKED, and what it says later confirms
it. So facts may cross orders on their way, and a late word of a worker that was given up meanwhile is a row here:
seen, not swallowed.

    EMPTY -> SPAWNING -> BOOTING -> PROBING -> READY -> DRAINING -> TERMINATING -> KILLING -> EMPTY | BACKOFF
                                    READY <-> SUSPECT         (the loop's beat is overdue; it beats again)
                                    READY <-> PARKED          (replaced in a reload; taken back when it fails)

SPAWNING lasts until the interpreter is up, BOOTING while the application is imported and its lifespan starts, PROBING
while the health probe runs. A process that has imported it for all leaves the slot to a worker that is forked from it:
SPAWNING again. TERMINATING is on the way out, hurried, by SIGTERM or by itself, with SIGKILL to come: a worker that was
told to serve and does not yet leaves when an operator sends it SIGTERM, or fails when its application exits.
A pair that is in neither table is a mistake of ours; tests/supervisor_d/policy/test_lifecycle.py says there is none.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable, Mapping
from itertools import product
from typing import Final

from supervisor_d.vocabulary import Slot
from supervisor_d.vocabulary.status import SlotState


class Cause(enum.Enum):
    """Why a slot moves: decisions of the policy first, then facts."""

    SPAWN = "spawn"
    SERVE = "serve"
    PARK = "park"
    SUSPECT = "suspect"
    RECOVER = "recover"
    DRAIN = "drain"
    BOOT_EXPIRE = "boot_expire"
    TERMINATE = "terminate"
    KILL = "kill"
    BACK_OFF = "back_off"
    RELEASE = "release"
    SPAWNED = "spawned"
    SPAWN_FAILED = "spawn_failed"
    BOOTED = "booted"
    PRELOADED = "preloaded"
    STARTED = "started"
    BECAME_READY = "became_ready"
    FAILED = "failed"
    ASKED_TO_RECYCLE = "asked_to_recycle"
    PARKED = "parked"
    DRAINING = "draining"
    FINISHED = "finished"
    DRAINED = "drained"
    HELD = "held"
    DETACHED = "detached"
    EXITED = "exited"


WORDS: Final = frozenset(
    (
        *(Cause.BOOTED, Cause.PRELOADED, Cause.STARTED, Cause.BECAME_READY, Cause.FAILED, Cause.ASKED_TO_RECYCLE),
        *(Cause.PARKED, Cause.DRAINING, Cause.FINISHED, Cause.DRAINED, Cause.HELD),
    )
)
"""What a worker says over its pipe, and may say at the wrong moment."""


class IllegalTransition(Exception):
    """A slot was moved by a cause its state does not know. Costs one worker, never the master."""

    def __init__(self, slot: Slot, state: SlotState, cause: Cause) -> None:
        self.slot = slot
        self.state = state
        self.cause = cause
        wrong = "the worker may not say {} now" if self.fault == "worker" else "{} cannot happen"
        super().__init__(f"slot {slot} is {state.value}: {wrong.format(cause.value)}")

    @property
    def fault(self) -> str:
        """Whose it is: worker, which broke the protocol, or daemon, a mistake of ours."""
        return "worker" if self.cause in WORDS and self.state not in VACANT else "daemon"

    @property
    def facts(self) -> Mapping[str, str]:
        """What the log says of it."""
        return {"state": self.state.value, "cause": self.cause.value, "fault": self.fault}


EMPTY, SPAWNING, BOOTING, PROBING = SlotState.EMPTY, SlotState.SPAWNING, SlotState.BOOTING, SlotState.PROBING
READY, SUSPECT, PARKED, DRAINING = SlotState.READY, SlotState.SUSPECT, SlotState.PARKED, SlotState.DRAINING
TERMINATING, KILLING, BACKOFF = SlotState.TERMINATING, SlotState.KILLING, SlotState.BACKOFF

VACANT: Final = frozenset((EMPTY, BACKOFF))
COMING: Final = frozenset((SPAWNING, BOOTING, PROBING))
UP: Final = frozenset((READY, SUSPECT, PARKED, DRAINING))
LEAVING: Final = frozenset((DRAINING, TERMINATING, KILLING))
ALIVE: Final = COMING | UP | LEAVING

_LATE: Final = (
    Cause.SPAWNED,
    Cause.BOOTED,
    Cause.PRELOADED,
    Cause.STARTED,
    Cause.BECAME_READY,
    Cause.FAILED,
    Cause.ASKED_TO_RECYCLE,
    Cause.PARKED,
    Cause.DRAINING,
    Cause.FINISHED,
    Cause.DRAINED,
    Cause.HELD,
    Cause.DETACHED,
)

LIFECYCLE: Final[Mapping[SlotState, Mapping[Cause, SlotState]]] = {
    EMPTY: {Cause.SPAWN: SPAWNING, Cause.BACK_OFF: BACKOFF},
    BACKOFF: {Cause.SPAWN: SPAWNING, Cause.RELEASE: EMPTY},
    SPAWNING: {
        Cause.SPAWNED: SPAWNING,
        Cause.SPAWN_FAILED: EMPTY,
        Cause.BOOTED: BOOTING,
        Cause.FAILED: TERMINATING,
        Cause.DETACHED: TERMINATING,
        Cause.BOOT_EXPIRE: TERMINATING,
        Cause.TERMINATE: TERMINATING,
        Cause.KILL: KILLING,
        Cause.EXITED: EMPTY,
    },
    BOOTING: {
        Cause.PRELOADED: SPAWNING,
        Cause.STARTED: PROBING,
        Cause.BECAME_READY: READY,
        Cause.ASKED_TO_RECYCLE: BOOTING,
        Cause.FAILED: TERMINATING,
        Cause.DRAINING: TERMINATING,
        Cause.DRAINED: TERMINATING,
        Cause.DETACHED: TERMINATING,
        Cause.BOOT_EXPIRE: TERMINATING,
        Cause.TERMINATE: TERMINATING,
        Cause.KILL: KILLING,
        Cause.EXITED: EMPTY,
    },
    PROBING: {
        Cause.BECAME_READY: READY,
        Cause.ASKED_TO_RECYCLE: PROBING,
        Cause.FAILED: TERMINATING,
        Cause.DRAINING: TERMINATING,
        Cause.DRAINED: TERMINATING,
        Cause.DETACHED: TERMINATING,
        Cause.BOOT_EXPIRE: TERMINATING,
        Cause.TERMINATE: TERMINATING,
        Cause.KILL: KILLING,
        Cause.EXITED: EMPTY,
    },
    READY: {
        Cause.ASKED_TO_RECYCLE: READY,
        Cause.PARKED: READY,
        Cause.PARK: PARKED,
        Cause.SUSPECT: SUSPECT,
        Cause.DRAIN: DRAINING,
        Cause.FAILED: TERMINATING,
        Cause.DRAINING: TERMINATING,
        Cause.DRAINED: TERMINATING,
        Cause.DETACHED: TERMINATING,
        Cause.TERMINATE: TERMINATING,
        Cause.KILL: KILLING,
        Cause.EXITED: EMPTY,
    },
    SUSPECT: {
        Cause.ASKED_TO_RECYCLE: SUSPECT,
        Cause.PARKED: SUSPECT,
        Cause.RECOVER: READY,
        Cause.DRAIN: DRAINING,
        Cause.FAILED: TERMINATING,
        Cause.DRAINING: TERMINATING,
        Cause.DRAINED: TERMINATING,
        Cause.DETACHED: TERMINATING,
        Cause.TERMINATE: TERMINATING,
        Cause.KILL: KILLING,
        Cause.EXITED: EMPTY,
    },
    PARKED: {
        Cause.ASKED_TO_RECYCLE: PARKED,
        Cause.PARKED: PARKED,
        Cause.SERVE: READY,
        Cause.DRAIN: DRAINING,
        Cause.FAILED: TERMINATING,
        Cause.DRAINING: TERMINATING,
        Cause.DRAINED: TERMINATING,
        Cause.DETACHED: TERMINATING,
        Cause.TERMINATE: TERMINATING,
        Cause.KILL: KILLING,
        Cause.EXITED: EMPTY,
    },
    DRAINING: {
        Cause.ASKED_TO_RECYCLE: DRAINING,
        Cause.PARKED: DRAINING,
        Cause.DRAINING: DRAINING,
        Cause.FINISHED: DRAINING,
        Cause.DRAINED: DRAINING,
        Cause.HELD: DRAINING,
        Cause.DETACHED: DRAINING,
        Cause.TERMINATE: TERMINATING,
        Cause.KILL: KILLING,
        Cause.EXITED: EMPTY,
    },
    TERMINATING: {
        **dict.fromkeys(_LATE, TERMINATING),
        Cause.SPAWN_FAILED: EMPTY,
        Cause.KILL: KILLING,
        Cause.EXITED: EMPTY,
    },
    KILLING: {
        **dict.fromkeys(_LATE, KILLING),
        Cause.SPAWN_FAILED: EMPTY,
        Cause.RELEASE: EMPTY,
        Cause.EXITED: EMPTY,
    },
}

DECISIONS: Final = (
    Cause.SPAWN,
    Cause.SERVE,
    Cause.PARK,
    Cause.SUSPECT,
    Cause.RECOVER,
    Cause.DRAIN,
    Cause.BOOT_EXPIRE,
    Cause.TERMINATE,
    Cause.KILL,
    Cause.BACK_OFF,
    Cause.RELEASE,
)


def _pairs(states: Iterable[SlotState], *causes: Cause) -> frozenset[tuple[SlotState, Cause]]:
    return frozenset(product(states, causes))


IMPOSSIBLE: Final[Mapping[str, frozenset[tuple[SlotState, Cause]]]] = {
    "no process lives in the slot, so none can speak, be steered or end": _pairs(
        VACANT,
        *(cause for cause in Cause if cause not in (Cause.SPAWN, Cause.BACK_OFF, Cause.RELEASE)),
    ),
    "nothing waits in an empty slot": _pairs([EMPTY], Cause.RELEASE),
    "the slot waits already": _pairs([BACKOFF], Cause.BACK_OFF),
    "a slot holds one process at most": _pairs(ALIVE, Cause.SPAWN, Cause.BACK_OFF),
    "only a process that SIGKILL did not end is left behind": _pairs(ALIVE - {KILLING}, Cause.RELEASE),
    "the host tells once how a spawn went, and first": _pairs(
        (ALIVE - {SPAWNING, TERMINATING, KILLING}), Cause.SPAWNED, Cause.SPAWN_FAILED
    ),
    "a worker says booted, preloaded, started and ready once each, in this order": (
        _pairs([SPAWNING], Cause.STARTED, Cause.BECAME_READY)
        | _pairs([BOOTING], Cause.BOOTED)
        | _pairs([SPAWNING, PROBING, *UP], Cause.PRELOADED)
        | _pairs([PROBING], Cause.BOOTED, Cause.STARTED)
        | _pairs(UP, Cause.BOOTED, Cause.STARTED, Cause.BECAME_READY)
    ),
    "a worker that drains has served": _pairs([DRAINING], Cause.FAILED),
    "a worker says draining first, finished and drained after it, and held last": _pairs(
        ALIVE - LEAVING, Cause.FINISHED, Cause.HELD
    ),
    "its signal handlers are not installed yet": _pairs(
        [SPAWNING], Cause.ASKED_TO_RECYCLE, Cause.DRAINING, Cause.DRAINED
    ),
    "only a worker that was ready was ever asked to park": _pairs(COMING, Cause.PARKED),
    "only a parked worker is taken back": _pairs(ALIVE - {PARKED}, Cause.SERVE),
    "only a serving worker is parked": _pairs(ALIVE - {READY}, Cause.PARK),
    "only a serving worker is replaced for its silence": _pairs(ALIVE - {READY}, Cause.SUSPECT),
    "only a suspect can be cleared": _pairs(ALIVE - {SUSPECT}, Cause.RECOVER),
    "a worker that never served has nothing to finish": _pairs(COMING, Cause.DRAIN),
    "it is leaving already": _pairs(LEAVING, Cause.DRAIN) | _pairs([TERMINATING, KILLING], Cause.TERMINATE),
    "SIGKILL needs no repetition": _pairs([KILLING], Cause.KILL),
    "the boot deadline is armed only while it boots": _pairs(ALIVE - COMING, Cause.BOOT_EXPIRE),
}


def next_state(slot: Slot, state: SlotState, cause: Cause) -> SlotState:
    """Where the cause takes the slot; IllegalTransition if it cannot happen there."""
    try:
        return LIFECYCLE[state][cause]
    except KeyError:
        raise IllegalTransition(slot, state, cause) from None
