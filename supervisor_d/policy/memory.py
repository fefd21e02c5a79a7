"""When to look at memory: each worker's own, where max-memory is set, and the cgroup's, where that is limited.

Two looks with two prices. Weighing a worker is a walk through its smaps, milliseconds for the kernel (weighing.py).
The cgroup's figures are a few small files, read often; only when they say that the limit is near are workers weighed,
and the largest is reported (MemoryNearLimit) and replaced before the kernel kills.

Who may be the fattest: workers that have been ready for a while. One that is as fat right after its boot will be so
again, and replacing it in turn for ever would not help. And no worker is chosen while workers come or leave: what
they take or give back is not known yet, and a second replacement is the last thing that short memory needs.
"""

from __future__ import annotations

from typing import Final

from supervisor_d.policy.lifecycle import LEAVING
from supervisor_d.policy.slot import Handle
from supervisor_d.policy.state import PolicyState
from supervisor_d.policy.weighing import Weighing
from supervisor_d.vocabulary import CheckMemory, Instant, ObserveWorkers

CHECK_S: Final = 5.0
"""Between looks at the cgroup's; chosen: from nine tenths to the limit in less than this is no leak but a flood."""
SETTLED_S: Final = 60.0
"""How long a worker must have been ready to count as grown; chosen, no evidence."""


class MemoryWatch:
    """The instants of the next looks; None where there is nothing to look for."""

    def __init__(self) -> None:
        self._weighing = Weighing()
        self._check_at: Instant | None = None

    @property
    def next_deadline(self) -> Instant | None:
        return min((at for at in (self._weighing.next_deadline, self._check_at) if at is not None), default=None)

    def step(self, policy: PolicyState) -> None:
        """Look at what is due, as the terms of now want it."""
        checking, self._check_at = _is_due(policy.now, self._check_at, CHECK_S if policy.terms.memory_limited else 0.0)
        ready = [handle for handle in policy.fleet if handle.ready]
        if weighed := self._weighing.due(policy):
            policy.outbox.add(ObserveWorkers(weighed, memory=True))
        grown = [one.slot for one in ready if one.ready_at is not None and policy.now - one.ready_at >= SETTLED_S]
        moving = any(handle.coming or handle.state in LEAVING for handle in policy.fleet)
        if checking and grown and not moving:
            policy.outbox.add(CheckMemory(tuple(grown)))

    def judge(self, policy: PolicyState, handle: Handle, size_bytes: int) -> str | None:
        """Why a worker that weighs this much is to be replaced; None if it is not."""
        limit_bytes = policy.terms.max_memory
        if not limit_bytes:
            return None
        self._weighing.note(policy, handle, size_bytes)
        return f"max-memory {limit_bytes} bytes reached: {size_bytes}" if size_bytes >= limit_bytes else None


def _is_due(now: Instant, at: Instant | None, every_s: float) -> tuple[bool, Instant | None]:
    """Whether the look is due, and when the next one is; never where there is no interval."""
    if not every_s:
        return False, None
    if at is not None and now < at:
        return False, at
    return at is not None, Instant(now + every_s)
