"""How many workers `auto` is where memory is limited: as many as fit, measured on the first one that is ready.

The CPUs are counted before anything is started and say how many workers can be used; what one of them weighs is known
only when it has imported the application. So the fleet begins with one worker, which is weighed as soon as it is
ready, and the rest follows. Each reload counts anew: its first worker is weighed while the old generation serves, and
what comes out holds from the commit on, unless it is what came out before: then an operator's `scale` stays.

The arithmetic is about the moment when most processes live, which is a reload: the new generation beside the old one,
whose replaced workers are parked (twice as many), or drain (`surge` more). Rejected: to leave nothing for it, for then
a deploy would be what the kernel kills workers for. An application that grows is what `max-memory` is for.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from supervisor_d.policy.rollout import Rollout
from supervisor_d.policy.state import PolicyState, Sizing
from supervisor_d.vocabulary import Generation, MeasureMemory, MemoryMeasured, Terms

MEBIBYTE: Final = 1 << 20


def proceed(policy: PolicyState, rollout: Rollout | None) -> None:
    """Put into force what is known, and ask for what is not: each generation's first ready worker is weighed once."""
    _apply(policy, policy.sizing)
    for sizing, generation in _sizings(policy, rollout):
        if sizing.count is not None:
            continue
        ready = [(handle.slot, handle.birth) for handle in policy.fleet.of(generation) if handle.ready]
        if ready and sizing.asked not in ready:
            sizing.asked = ready[0]
            policy.outbox.add(MeasureMemory(ready[0][0]))


def take_in(policy: PolicyState, rollout: Rollout | None, measured: MemoryMeasured) -> None:
    """What was measured becomes a number and its reason."""
    handle = policy.fleet.handle(measured.slot)
    for sizing, _ in _sizings(policy, rollout):
        if sizing.count is None and sizing.asked == (handle.slot, handle.birth):
            fits = fitting(sizing.terms, measured)
            sizing.count = min(fits, sizing.terms.workers)
            sizing.reason = reason(sizing.terms, measured)
            policy.moves += 1
            policy.outbox.report(
                "fleet.sized",
                workers=sizing.count,
                cpus=sizing.terms.workers,
                worker_bytes=measured.worker_bytes,
                room_bytes=measured.room_bytes,
                limit_bytes=measured.limit_bytes,
            )


def _sizings(policy: PolicyState, rollout: Rollout | None) -> Iterator[tuple[Sizing, Generation]]:
    yield policy.sizing, policy.generation
    if rollout is not None and rollout.sizing is not None and not rollout.dry_run:
        yield rollout.sizing, rollout.generation


def _apply(policy: PolicyState, sizing: Sizing) -> None:
    if sizing.count is None or sizing.is_applied:
        return
    sizing.is_applied = True
    if sizing.count != sizing.before and not sizing.is_overruled:
        policy.target = sizing.count
        policy.moves += 1


def fitting(terms: Terms, measured: MemoryMeasured) -> int:
    """How many such workers fit, in a reload, too; at least 1. As many as the CPUs want if nothing limits any more."""
    if not measured.limit_bytes:
        return terms.workers
    at_once = measured.room_bytes // max(measured.worker_bytes, 1)
    return max(1, at_once // 2 if terms.park else at_once - terms.surge)


def reason(terms: Terms, measured: MemoryMeasured) -> str:
    """The arithmetic in a sentence, in the form of the reasons for the number of CPUs."""
    if not measured.limit_bytes:
        return f"{terms.workers} by memory: it is not limited any more"
    at_once = measured.room_bytes // max(measured.worker_bytes, 1)
    reload = "a reload has two for each (park)" if terms.park else f"a reload has {terms.surge} more (surge)"
    return (
        f"{fitting(terms, measured)} by memory: {at_once} workers of {mebibytes(measured.worker_bytes)} "
        f"(PSS of slot {measured.slot}) at once in {mebibytes(measured.room_bytes)}, which others leave "
        f"of {mebibytes(measured.limit_bytes)} before it is nearly full; {reload}"
    )


def mebibytes(size: int) -> str:
    return f"{size / MEBIBYTE:.1f} MiB"
