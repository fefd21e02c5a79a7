"""Whether the fleet is what it should be: starting, serving or degraded; and when nothing can be had any more.

The state is what is so now. The events are for people and alarms: in a crash loop the fleet is whole for a moment
after each restart, and an event for each would hide the rest of the log. So fleet.degraded is logged once, and
fleet.recovered only when the fleet has been whole for a while.
"""

from __future__ import annotations

from typing import Final

from supervisor_d.policy.restart import INTENSITY_PERIOD_S
from supervisor_d.policy.slot import Handle
from supervisor_d.policy.state import PolicyState
from supervisor_d.vocabulary import Instant
from supervisor_d.vocabulary.status import DaemonState, SlotState

HOPELESS_FAILURES: Final = 5
"""Failures in a row of every slot before the fleet is given up, where that is wanted: about 1.5 s of back-off, and
five boots. Chosen: an orchestrator's own restart takes over from here, with a longer back-off of its own."""


HEALED_S: Final = INTENSITY_PERIOD_S
"""How long the fleet must be whole before that is logged; chosen: as long as a death counts for the intensity."""


class Health:
    """Remembers whether the fleet was ever whole, and whether it was told that it is degraded."""

    def __init__(self) -> None:
        self.state = DaemonState.STARTING
        self.reason = ""
        self._told_degraded = False
        self._whole_since: Instant | None = None

    @property
    def next_deadline(self) -> Instant | None:
        """When it is to be told that the fleet has recovered, if nothing happens until then."""
        if not self._told_degraded or self._whole_since is None:
            return None
        return Instant(self._whole_since + HEALED_S)

    def judge(self, policy: PolicyState, *, reloading: bool) -> str | None:
        """Follow the fleet, and report when that changes; the reason to give it up, if there is one."""
        ready = policy.fleet.ready()
        waiting = [handle for handle in policy.fleet.of(policy.generation) if handle.state is SlotState.BACKOFF]
        if ready >= policy.target and policy.sizing.count is not None:  # else the target is yet to be known
            self.state, self.reason = DaemonState.SERVING, ""
            self._note_whole(policy)
        elif waiting:
            reason = f"slot {waiting[0].slot}: {waiting[0].reason}"
            if not self._told_degraded:
                policy.outbox.report("fleet.degraded", reason=reason, ready=ready, target=policy.target)
            self.state, self.reason = DaemonState.DEGRADED, reason
            self._told_degraded, self._whole_since = True, None
        else:
            self._whole_since = None
        if reloading or not policy.terms.exit_when_failed or not _is_hopeless(policy, waiting):
            return None
        return f"{HOPELESS_FAILURES} failures in a row in every slot; {self.reason}"

    def _note_whole(self, policy: PolicyState) -> None:
        if self._whole_since is None:
            self._whole_since = policy.now
        if (due_at := self.next_deadline) is not None and policy.now >= due_at:
            self._told_degraded = False
            policy.outbox.report("fleet.recovered", ready=policy.fleet.ready(), target=policy.target)


def _is_hopeless(policy: PolicyState, waiting: list[Handle]) -> bool:
    """True if all that is left waits for a retry that has failed often enough."""
    left = [handle for handle in policy.fleet if handle.state not in (SlotState.EMPTY, SlotState.DRAINING)]
    return bool(left) and left == waiting and all(handle.failures >= HOPELESS_FAILURES for handle in waiting)
