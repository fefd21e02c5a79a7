"""What the workers of one generation are forked from, or will be: the nursery's note of it. Host side."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from typing import Final

from server_core.contract import Template, WorkerSpec
from server_core.records import dataclass
from supervisor_d.host.children import Child
from supervisor_d.host.heartbeat import Pipe
from supervisor_d.host.watcher import Deadline
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
class Home:
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
    waiting: dict[Slot, WorkerSpec] = field(default_factory=dict)
    forks: dict[Slot, Fork] = field(default_factory=dict)

    @property
    def is_expecting(self) -> bool:
        return bool(self.waiting or self.forks) or self.candidate is not None

    @property
    def is_founded(self) -> bool:
        """Whether it is known how its workers come to be, or will be in a moment."""
        return self.template is not None or self.candidate is not None or self.refusal is not None

    @property
    def events(self) -> Mapping[str, str]:
        return EVENTS[self.kind]
