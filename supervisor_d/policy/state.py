"""What every part of the policy has in front of it: the fleet, what is wanted of it, the instant, and the outbox."""

from __future__ import annotations

from dataclasses import field
from typing import Final

from server_core.exit_codes import EXIT_BOOT_FAILED
from server_core.records import dataclass
from supervisor_d.policy.fleet import Fleet
from supervisor_d.policy.outbox import Outbox
from supervisor_d.policy.scaling import TARGET_MAX
from supervisor_d.policy.slot import NEVER, Handle
from supervisor_d.vocabulary import Generation, Instant, Report, Slot, Terms

FIRST_GENERATION: Final = Generation(1)


@dataclass(frozen=True, slots=True)
class Failure:
    """A worker failed unasked; the parts that depend on it need to know. Sent once per process.

    At the very first boot the daemon exits with `exit_code`, and `last_words` are the last thing it reports.
    """

    handle: Handle
    reason: str
    traceback: str = ""
    last_words: Report | None = None
    exit_code: int = EXIT_BOOT_FAILED


@dataclass(slots=True)
class Sizing:
    """How many workers the setting came to, for one set of terms; None until the memory limit was asked (sizing.py).

    `before` is what it was for the terms before these: what comes out the same changes no target. `is_overruled` if
    an operator scaled before it was known.
    """

    terms: Terms
    count: int | None
    before: int | None = None
    reason: str = ""
    asked: tuple[Slot, int] | None = None
    """The slot and birth of the worker that is being weighed."""
    is_applied: bool = False
    is_overruled: bool = False


def sizing_of(terms: Terms) -> Sizing:
    """What is known of them so far."""
    if terms.fit_memory:
        return Sizing(terms, None, reason="by memory: not known until the first worker is ready")
    return Sizing(terms, min(terms.workers, TARGET_MAX))


@dataclass(slots=True)
class PolicyState:
    """One per Supervisor. `generation` is the committed one; `now` is the instant of the fact in hand.

    `moves` counts what changed, so that comparing the fleet with what is wanted can go on until nothing does.
    """

    terms: Terms
    seed: int
    target: int
    sizing: Sizing
    generation: Generation = FIRST_GENERATION
    now: Instant = NEVER
    fleet: Fleet = field(default_factory=Fleet)
    outbox: Outbox = field(default_factory=Outbox)
    failures: list[Failure] = field(default_factory=list)
    deaths: dict[Generation, list[Instant]] = field(default_factory=dict)
    ever_ready: bool = False
    moves: int = 0
