"""How many workers boot at once: only so many, and the next one when one of them is ready or gone.

A boot imports, which computes. Hundreds at once are all late, and so is what else the machine has to do: the workers
that serve, and the master. Successors of workers that ended wait for their turn in BACKOFF, without an instant.
"""

from __future__ import annotations

from typing import Final

from supervisor_d.policy import worker_actions
from supervisor_d.policy.slot import Alarm, Handle
from supervisor_d.policy.state import PolicyState
from supervisor_d.vocabulary.status import SlotState

WAITS: Final = "waits for its turn to boot"


def room(policy: PolicyState) -> int:
    """How many more may begin to boot now."""
    return max(0, policy.terms.births - sum(handle.coming for handle in policy.fleet))


def follow(policy: PolicyState, handle: Handle) -> None:
    """A successor comes in this empty slot, now or when it is its turn."""
    if room(policy):
        worker_actions.spawn(policy, handle, handle.generation)
    else:
        worker_actions.queue(policy, handle, WAITS)


def retry(policy: PolicyState, handle: Handle) -> None:
    """Its back-off is over: it boots if there is room, and else in its turn."""
    if room(policy):
        worker_actions.spawn(policy, handle, handle.generation)
    else:
        handle.reason = f"{handle.reason}; {WAITS}"


def resume(policy: PolicyState) -> None:
    """Let those boot whose turn it is, the lowest slot first."""
    waiting = [
        handle for handle in policy.fleet if handle.state is SlotState.BACKOFF and Alarm.RETRY not in handle.alarms
    ]
    for handle in waiting[: room(policy)]:
        worker_actions.spawn(policy, handle, handle.generation)
