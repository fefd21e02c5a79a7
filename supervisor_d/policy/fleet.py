"""All slots: questions only."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from supervisor_d.policy.lifecycle import UP
from supervisor_d.policy.slot import Handle
from supervisor_d.vocabulary import Generation, Instant, Slot
from supervisor_d.vocabulary.status import SlotState

SLOT_LAST: Final = 4095
"""The highest slot there is; the scoreboard has records for 0 to this (server_core.contract.scoreboard.SLOTS_MAX)."""


class Fleet:
    """Every slot that was ever used, by number."""

    def __init__(self) -> None:
        self.slots: dict[Slot, Handle] = {}

    def __iter__(self) -> Iterator[Handle]:
        """The handles in the order of their slots."""
        return iter([self.slots[slot] for slot in sorted(self.slots)])

    def handle(self, slot: Slot) -> Handle:
        """The handle of a slot, made when it is first named."""
        if slot not in self.slots:
            self.slots[slot] = Handle(slot)
        return self.slots[slot]

    def free(self) -> Handle | None:
        """The lowest slot with nothing in it; None if all are taken."""
        for number in range(1, SLOT_LAST + 1):
            handle = self.slots.get(Slot(number))
            if handle is None or handle.state is SlotState.EMPTY:
                return self.handle(Slot(number))
        return None

    def of(self, generation: Generation) -> list[Handle]:
        """The occupied slots of a generation, and those that wait for a retry."""
        return [handle for handle in self if handle.generation == generation and handle.state is not SlotState.EMPTY]

    def others(self, *generations: Generation) -> list[Handle]:
        return [
            handle for handle in self if handle.generation not in generations and handle.state is not SlotState.EMPTY
        ]

    def staying(self, generation: Generation) -> list[Handle]:
        return [handle for handle in self.of(generation) if handle.stays]

    def ready(self, generation: Generation | None = None) -> int:
        """How many workers serve, of one generation or of all."""
        return sum(handle.ready and generation in (None, handle.generation) for handle in self)

    def watched(self, generation: Generation | None = None) -> tuple[Slot, ...]:
        """The slots whose beats count; those of one generation, if it is given."""
        return tuple(
            handle.slot
            for handle in self
            if handle.state in UP and not handle.finished and generation in (None, handle.generation)
        )

    def is_empty(self) -> bool:
        return all(handle.state is SlotState.EMPTY for handle in self)

    def next_alarm(self) -> Instant | None:
        return min((at for handle in self for at in handle.alarms.values()), default=None)
