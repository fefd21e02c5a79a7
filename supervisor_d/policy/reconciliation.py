"""Compares how many workers a generation has with how many it should have, and orders the difference.

A ready worker is taken away only while enough others are ready: `may_spare` is the one place that says so.
"""

from __future__ import annotations

from supervisor_d.policy import indexes, spawning, worker_actions
from supervisor_d.policy.slot import Handle
from supervisor_d.policy.state import PolicyState
from supervisor_d.vocabulary import Generation
from supervisor_d.vocabulary.status import SlotState


def may_spare(policy: PolicyState, handle: Handle) -> bool:
    """True if the worker does not serve, or enough others do without it."""
    return not handle.ready or policy.fleet.ready() - 1 >= policy.target


def staff(policy: PolicyState, generation: Generation, wanted: int, *, replaced: Handle | None = None) -> None:
    """Spawn workers of the generation, or take the surplus away, until as many stay as are wanted.

    One more is wanted while a worker is being `replaced`, and has the index of that worker.
    """
    wanted += replaced is not None
    staying = policy.fleet.staying(generation)
    surplus = indexes.surplus(staying, len(staying) - wanted)
    vacant = indexes.vacant(staying, replaced)
    for _ in range(min(wanted - len(staying), spawning.room(policy))):
        free = policy.fleet.free()
        if free is not None:
            free.index = next(vacant)
            worker_actions.spawn(policy, free, generation)
    for handle in surplus:
        dismiss(policy, handle, f"more workers than the {wanted} wanted")


def take_back(policy: PolicyState, generation: Generation) -> None:
    """Let the parked workers of the generation serve again; one in trouble has to recover first."""
    for handle in policy.fleet.of(generation):
        if handle.state is SlotState.PARKED and handle.trouble is None:
            worker_actions.resume(policy, handle)


def dismiss(policy: PolicyState, handle: Handle, reason: str) -> None:
    """Let one worker go in the way that fits its state, if it can be spared; no effect on one that is leaving."""
    if handle.state is SlotState.BACKOFF:
        worker_actions.release(policy, handle)
    elif handle.held:
        worker_actions.give_up_place(policy, handle)
    elif handle.coming:
        worker_actions.terminate(policy, handle, reason)
    elif handle.state in (SlotState.READY, SlotState.PARKED) and may_spare(policy, handle):
        worker_actions.drain(policy, handle, reason, timeout_s=policy.terms.graceful_timeout)


def dismiss_others(policy: PolicyState, *kept: Generation) -> None:
    """Let every worker of another generation go, as far as each can be spared."""
    for handle in policy.fleet.others(*kept):
        newer = handle.generation > policy.generation
        dismiss(policy, handle, "its generation is discarded" if newer else "its generation is replaced")
