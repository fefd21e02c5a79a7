"""What the policy is made of: each part owns what it remembers, and what two of them know together is asked here."""

from __future__ import annotations

from server_core.records import dataclass
from supervisor_d.policy import liveness
from supervisor_d.policy.health import Health
from supervisor_d.policy.listening import Listening
from supervisor_d.policy.memory import MemoryWatch
from supervisor_d.policy.operator_requests import OperatorRequests
from supervisor_d.policy.orphans import Orphanage
from supervisor_d.policy.recycling import Recycling
from supervisor_d.policy.rollout import Rollout
from supervisor_d.policy.slot import Handle
from supervisor_d.policy.state import PolicyState
from supervisor_d.vocabulary import Generation, Observation


@dataclass(frozen=True, slots=True)
class Parts:
    """One per Supervisor; made by `parts_of`."""

    policy: PolicyState
    health: Health
    recycling: Recycling
    memory: MemoryWatch
    orphanage: Orphanage
    listening: Listening
    requests: OperatorRequests

    def trying(self, generation: Generation) -> Rollout | None:
        """The reload that tries this generation, if it still runs."""
        rollout = self.requests.rollout
        return rollout if rollout is not None and rollout.generation == generation else None

    def serves(self, handle: Handle) -> bool:
        """True if a worker that becomes ready is to accept connections at once."""
        return self.requests.rollout is None or self.requests.rollout.serves(handle)

    def refills(self, handle: Handle) -> bool:
        """True if a successor comes in the same slot: the generation is the one that counts, and nothing else does."""
        policy, rollout, shutdown = self.policy, self.requests.rollout, self.requests.shutdown
        return (
            (handle.generation == policy.generation and (policy.ever_ready or shutdown is not None))
            and (rollout is None or rollout.refills_old)
            and (shutdown is None or shutdown.delay_until is not None)
        )

    def observe(self, handle: Handle, seen: Observation) -> None:
        """Judge what is seen of a worker: whether it hangs, how the reload goes, whether it has grown too large."""
        liveness.observe(self.policy, handle, seen)
        if self.requests.rollout is not None:
            self.requests.rollout.note(self.policy, handle, seen)
        if seen.memory_bytes is not None and (reason := self.memory.judge(self.policy, handle, seen.memory_bytes)):
            self.requests.recycle(handle, reason)


def parts_of(policy: PolicyState) -> Parts:
    """The parts of a new policy."""
    recycling = Recycling()
    return Parts(
        policy, Health(), recycling, MemoryWatch(), Orphanage(), Listening(), OperatorRequests(policy, recycling)
    )
