"""Which index a worker has: 0 to N-1 within its generation, the same for its successor; pure.

A slot is where a process lives, and another one after each reload and recycling. An index is what its application may
know itself by: it stays with the successor, in a slot of whatever number. So "index 0 runs the scheduler" holds for one
place in the fleet. It is a name and no lock: a replacement serves before the worker that it replaces has ended, and the
two share their index meanwhile. Rejected: to start the new index 0 only after the old one has ended. One worker fewer
would serve at each reload, and a canary that is not index 0 proves nothing about what only index 0 runs.

Two workers of a generation that both stay have one index only where a suspect recovered beside its replacement, or a
replaced worker crashed: then one of the two goes (`surplus`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import count

from supervisor_d.policy.slot import Handle
from supervisor_d.vocabulary.status import SlotState


def vacant(staying: Iterable[Handle], replaced: Handle | None = None) -> Iterator[int]:
    """The indexes that no staying worker has, lowest first; that of a worker that is being replaced is one."""
    taken = {handle.index for handle in staying if handle is not replaced}
    return (index for index in count() if index not in taken)


def surplus(staying: Sequence[Handle], many: int) -> list[Handle]:
    """Those of a generation that can go, the first one first: second holders of an index, then the highest indexes.

    Index before state: if those that do not serve went first, the lowest indexes could be missing for ever.
    """
    holders: dict[int, Handle] = {}
    rivals = []
    for handle in sorted(staying, key=_reluctance):
        if holders.setdefault(handle.index, handle) is not handle:
            rivals.append(handle)
    order = rivals[::-1] + [holders[index] for index in sorted(holders, reverse=True)]
    return order[: max(many, 0)]


def _reluctance(handle: Handle) -> tuple[int, int]:
    """Order in which they keep an index: serving, then booting, then in back-off or held; the lowest slot first."""
    if handle.ready:
        return 0, handle.slot
    return 2 if handle.state is SlotState.BACKOFF or handle.held else 1, handle.slot
