"""What the workers of one generation are forked from, or will be: the prefork factory's note of it. Host side."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field, replace
from typing import Final

from server_core.contract.spec import ListenerSpec, Template, WorkerSpec
from server_core.records import dataclass
from supervisor_d.host.processes.process_table import Child
from supervisor_d.host.processes.worker_pipe import Pipe, hand_over, take_back
from supervisor_d.host.reactor import Deadline
from supervisor_d.vocabulary import Generation, Slot

EVENTS: Final = {
    Template.SERVER: {
        "made": "template.prepared",
        "refused": "template.refused",
        "killed": "template.killed",
        "ended": "template.ended",
    },
    Template.APPLICATION: {
        "made": "zygote.preloaded",
        "refused": "zygote.refused",
        "killed": "zygote.killed",
        "ended": "zygote.ended",
    },
}
"""What each step in the life of a template is called, by what it has imported."""


@dataclass(slots=True)
class Fork:
    """A birth that the template was ordered to."""

    spec: WorkerSpec
    pipe: Pipe
    is_called_off: bool = False


@dataclass(frozen=True, slots=True)
class Leaving:
    """A template that was dismissed, and when it is killed if it has not ended."""

    template: Child
    deadline: Deadline


@dataclass(slots=True)
class PreforkTemplate:
    """What one generation's workers are forked from, or will be."""

    generation: Generation
    kind: Template
    began_at: float
    candidate: Slot | None = None
    """The slot whose process imports for all."""
    template: Child | None = None
    refusal: str | None = None
    """Why this generation's workers cannot be forked."""
    is_whole: bool = False
    """Whether all who were wanted have been born once."""
    lacking: dict[str, ListenerSpec] = field(default_factory=dict)
    """Listeners that were bound, in the place of others of these addresses, after the template was started."""
    waiting: dict[Slot, WorkerSpec] = field(default_factory=dict)
    forks: dict[Slot, Fork] = field(default_factory=dict)

    @property
    def is_expecting(self) -> bool:
        return bool(self.waiting or self.forks) or self.candidate is not None

    @property
    def is_founded(self) -> bool:
        """Whether it is known how its workers come to be, or will be in a moment."""
        return self.template is not None or self.candidate is not None or self.refusal is not None

    def take_on(self, listener: ListenerSpec) -> None:
        """Have all workers forked from now on accept from it, instead of the one of its address. Raises OSError."""
        self.lacking[listener.address] = listener
        for fork in self.forks.values():
            fork.spec = self.renewed(fork.spec)
            hand_over(listener, fork.pipe)
        self.waiting = {slot: self.renewed(spec) for slot, spec in self.waiting.items()}

    def give_up(self, listener: ListenerSpec) -> None:
        """Have the template, and who are being born, close a listener that was shut down."""
        pipes = [fork.pipe for fork in self.forks.values()]
        if self.template is not None:
            pipes.insert(0, self.template.pipe)
        for pipe in pipes:
            take_back(listener, pipe)

    def renewed(self, spec: WorkerSpec) -> WorkerSpec:
        """A spec that was made before a listener was bound anew, as it would be now."""
        return replace(spec, listeners=tuple(self.lacking.get(each.address, each) for each in spec.listeners))

    def forked(self, spec: WorkerSpec) -> WorkerSpec:
        """The spec of the template's child: it inherits what the template has, and is handed the rest (complete)."""
        had = tuple(each for each in spec.listeners if each.address not in self.lacking)
        return replace(spec, template=Template.NONE, listeners=had)

    def complete(self, pipe: Pipe) -> None:
        """Hand a forked worker what its template does not have. Raises OSError."""
        for listener in self.lacking.values():
            hand_over(listener, pipe)

    @property
    def events(self) -> Mapping[str, str]:
        return EVENTS[self.kind]
