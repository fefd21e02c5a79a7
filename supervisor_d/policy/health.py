"""Whether the fleet is what it should be: starting, serving or degraded; and when nothing can be had any more."""

from __future__ import annotations

from typing import Final

from supervisor_d.policy.desk import Desk
from supervisor_d.policy.slot import Handle
from supervisor_d.policy.status import DaemonState, SlotState

HOPELESS_FAILURES: Final = 5
"""Failures in a row of every slot before the fleet is given up, where that is wanted: about 1.5 s of back-off, and
five boots. Chosen: an orchestrator's own restart takes over from here, with a longer back-off of its own."""


class Health:
    """Remembers whether the fleet was ever whole, and whether it was told that it is degraded."""

    def __init__(self) -> None:
        self.state = DaemonState.STARTING
        self.reason = ""

    def judge(self, desk: Desk, *, reloading: bool) -> str | None:
        """Follow the fleet, and report when that changes; the reason to give it up, if there is one."""
        ready = desk.fleet.ready()
        waiting = [handle for handle in desk.fleet.of(desk.generation) if handle.state is SlotState.BACKOFF]
        if ready >= desk.target and desk.sizing.count is not None:  # else the target is yet to be known
            if self.state is DaemonState.DEGRADED:
                desk.outbox.report("fleet.recovered", ready=ready, target=desk.target)
            self.state, self.reason = DaemonState.SERVING, ""
        elif waiting:
            reason = f"slot {waiting[0].slot}: {waiting[0].reason}"
            if self.state is not DaemonState.DEGRADED:
                desk.outbox.report("fleet.degraded", reason=reason, ready=ready, target=desk.target)
            self.state, self.reason = DaemonState.DEGRADED, reason
        if reloading or not desk.terms.exit_when_failed or not _is_hopeless(desk, waiting):
            return None
        return f"{HOPELESS_FAILURES} failures in a row in every slot; {self.reason}"


def _is_hopeless(desk: Desk, waiting: list[Handle]) -> bool:
    """True if all that is left waits for a retry that has failed often enough."""
    left = [handle for handle in desk.fleet if handle.state not in (SlotState.EMPTY, SlotState.DRAINING)]
    return bool(left) and left == waiting and all(handle.failures >= HOPELESS_FAILURES for handle in waiting)
