"""Compares how many workers a generation has with how many it should have, and orders the difference.

A ready worker is taken away only while enough others are ready: `may_spare` is the one place that says so.
"""

from __future__ import annotations

from supervisor_d.policy import indexes, spawning, worker_actions
from supervisor_d.policy.slot import Handle
from supervisor_d.policy.state import Desk
from supervisor_d.vocabulary import Generation
from supervisor_d.vocabulary.status import SlotState


def may_spare(desk: Desk, handle: Handle) -> bool:
    """True if the worker does not serve, or enough others do without it."""
    return not handle.ready or desk.fleet.ready() - 1 >= desk.target


def staff(desk: Desk, generation: Generation, wanted: int, *, replaced: Handle | None = None) -> None:
    """Spawn workers of the generation, or take the surplus away, until as many stay as are wanted.

    One more is wanted while a worker is being `replaced`, and has the index of that worker.
    """
    wanted += replaced is not None
    staying = desk.fleet.staying(generation)
    surplus = indexes.surplus(staying, len(staying) - wanted)
    vacant = indexes.vacant(staying, replaced)
    for _ in range(min(wanted - len(staying), spawning.room(desk))):
        free = desk.fleet.free()
        if free is not None:
            free.index = next(vacant)
            worker_actions.spawn(desk, free, generation)
    for handle in surplus:
        dismiss(desk, handle, f"more workers than the {wanted} wanted")


def take_back(desk: Desk, generation: Generation) -> None:
    """Let the parked workers of the generation serve again; one in trouble has to recover first."""
    for handle in desk.fleet.of(generation):
        if handle.state is SlotState.PARKED and handle.trouble is None:
            worker_actions.resume(desk, handle)


def dismiss(desk: Desk, handle: Handle, reason: str) -> None:
    """Let one worker go in the way that fits its state, if it can be spared; no effect on one that is leaving."""
    if handle.state is SlotState.BACKOFF:
        worker_actions.release(desk, handle)
    elif handle.held:
        worker_actions.give_up_place(desk, handle)
    elif handle.coming:
        worker_actions.terminate(desk, handle, reason)
    elif handle.state in (SlotState.READY, SlotState.PARKED) and may_spare(desk, handle):
        worker_actions.drain(desk, handle, reason, timeout_s=desk.terms.graceful_timeout)


def dismiss_others(desk: Desk, *kept: Generation) -> None:
    """Let every worker of another generation go, as far as each can be spared."""
    for handle in desk.fleet.others(*kept):
        newer = handle.generation > desk.generation
        dismiss(desk, handle, "its generation is discarded" if newer else "its generation is replaced")
