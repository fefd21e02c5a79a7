"""When to weigh each worker against max-memory: seldom where there is room, every second where there is little.

A look is a walk through a process's smaps, milliseconds for the kernel, so that one every second for ever would be paid
by those that never grow. The next look at a worker is the soonest of these, and at least a second away:

    twice the interval before           a new worker is looked at soon: how it grows is not known yet
    half the time to the limit          as fast as it has grown since the look before
    30 s times the share that is left   near the limit little growth is enough

What a worker grows between two looks is what it can be above the limit. Rejected: to look every second at all, and
limits by the kernel (setrlimit(2), a cgroup of its own), which end a worker in the midst of its requests.
"""

from __future__ import annotations

from typing import Final

from server_core.records import dataclass
from supervisor_d.policy.slot import Handle
from supervisor_d.policy.state import PolicyState
from supervisor_d.vocabulary import Instant, Slot

LONGEST_S: Final = 30.0
SHORTEST_S: Final = 1.0
"""Between looks at one worker; both chosen."""


@dataclass(slots=True)
class Scale:
    """What is known of one worker: when it is looked at next, and what it weighed when."""

    birth: int
    due: Instant
    every_s: float = SHORTEST_S
    size_bytes: int | None = None
    at: Instant | None = None


class Weighing:
    """The next looks at those that serve."""

    def __init__(self) -> None:
        self._scales: dict[Slot, Scale] = {}

    @property
    def next_deadline(self) -> Instant | None:
        return min((scale.due for scale in self._scales.values()), default=None)

    def due(self, policy: PolicyState) -> tuple[Slot, ...]:
        """The slots to weigh now; if no answer comes, the next look is twice as far away as this one was."""
        ready = {handle.slot: handle for handle in policy.fleet if handle.ready} if policy.terms.max_memory else {}
        known = {slot: scale for slot, scale in self._scales.items() if slot in ready}
        self._scales = {slot: known.get(slot, _new(policy, handle)) for slot, handle in ready.items()}
        due = []
        for slot, handle in ready.items():
            if self._scales[slot].birth != handle.birth:
                self._scales[slot] = _new(policy, handle)
            scale = self._scales[slot]
            if scale.due <= policy.now:
                scale.every_s = min(2 * scale.every_s, LONGEST_S)
                scale.due = Instant(policy.now + scale.every_s)
                due.append(slot)
        return tuple(due)

    def note(self, policy: PolicyState, handle: Handle, size_bytes: int) -> None:
        """Keep what a worker weighs now, and when to look at it next."""
        scale = self._scales.get(handle.slot)
        if scale is not None and scale.birth == handle.birth:
            scale.every_s = interval_s(scale, size_bytes, policy.terms.max_memory, policy.now)
            scale.size_bytes, scale.at = size_bytes, policy.now
            scale.due = Instant(policy.now + scale.every_s)


def interval_s(before: Scale, size_bytes: int, limit_bytes: int, now: Instant) -> float:
    """Seconds until the next look at a worker that weighs this much now; `before` is as it was asked for."""
    left = limit_bytes - size_bytes
    if left <= 0:
        return LONGEST_S  # it is being replaced
    bounds = [LONGEST_S * left / limit_bytes, before.every_s]
    if before.size_bytes is not None and before.at is not None and size_bytes > before.size_bytes:
        bounds.append(left * (now - before.at) / (size_bytes - before.size_bytes) / 2)
    return round(min(LONGEST_S, max(SHORTEST_S, min(bounds))), 3)


def _new(policy: PolicyState, handle: Handle) -> Scale:
    return Scale(handle.birth, Instant(policy.now + SHORTEST_S))
