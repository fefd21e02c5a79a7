"""Looks at workers when asked, from the outside: beats, figures, process state, memory. Host side, no judgement."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from supervisor_d import clock
from supervisor_d.host.observation.scoreboard import Scoreboard
from supervisor_d.host.processes.process_table import Child, ProcessTable
from supervisor_d.host.system.cgroup import Cgroup
from supervisor_d.vocabulary import (
    Fact,
    Instant,
    MemoryMeasured,
    MemoryNearLimit,
    Observation,
    Slot,
    WorkerObserved,
)


class Observer:
    """Answers ObserveWorkers; a worker that has exited by now is passed over, its exit is being told."""

    def __init__(self, children: ProcessTable, scoreboard: Scoreboard, cgroup: Cgroup) -> None:
        self._children = children
        self._scoreboard = scoreboard
        self._cgroup = cgroup

    def observe(self, slots: Sequence[Slot]) -> list[Fact]:
        """One WorkerObserved for each, without its memory."""
        throttled_s = self._cgroup.throttled_s()
        found = (self._children.get(slot) for slot in slots)
        return [WorkerObserved(child.slot, self._see(child, throttled_s, None)) for child in found if child is not None]

    def weigh(self, slot: Slot) -> list[Fact]:
        """WorkerObserved with its memory."""
        child = self._children.get(slot)
        if child is None:
            return []
        return [WorkerObserved(slot, self._see(child, self._cgroup.throttled_s(), _pss_bytes(child)))]

    def is_memory_short(self) -> bool:
        """True if the cgroup's memory is nearly used up; cheap unless it is."""
        return self._cgroup.shortage() is not None

    def near_limit(self, sizes: Mapping[Slot, int]) -> list[Fact]:
        """MemoryNearLimit with the fattest of these, if memory is short still."""
        memory = self._cgroup.shortage() if sizes else None
        if memory is None:
            return []
        fattest = max(sizes, key=lambda slot: sizes[slot])
        return [MemoryNearLimit(fattest, memory.used_bytes, memory.limit_bytes)]

    def size(self, slot: Slot, sizes: dict[Slot, int]) -> list[Fact]:
        """Note the worker's memory in `sizes`; that alone tells nothing."""
        child = self._children.get(slot)
        size = _pss_bytes(child) if child is not None else None
        if size is not None:
            sizes[slot] = size
        return []

    def measured(self, slot: Slot, sizes: Mapping[Slot, int]) -> list[Fact]:
        """MemoryMeasured, from the sizes of this worker and all others; nothing if its process is gone."""
        if slot not in sizes:
            return []
        memory = self._cgroup.memory()
        if memory is None:
            return [MemoryMeasured(slot, sizes[slot], 0, 0)]
        return [MemoryMeasured(slot, sizes[slot], memory.room_bytes(sum(sizes.values())), memory.limit_bytes)]

    def rss_bytes(self) -> dict[Slot, int]:
        """The resident size of every worker, for people; shared pages are counted in each."""
        from supervisor_d.host.observation.procfs import rss_bytes  # here, as below: see late_imports.py

        sizes = ((child.slot, rss_bytes(child.pid)) for child in self._children)
        return {slot: size for slot, size in sizes if size is not None}  # None: exited meanwhile

    def _see(self, child: Child, throttled_s: float, memory_bytes: int | None) -> Observation:
        from supervisor_d.host.observation.procfs import process_state, starved_s

        figures = self._scoreboard.figures(child.slot)
        return Observation(
            loop_beat_at=Instant(figures.loop_beat_at),
            thread_beat_at=Instant(figures.thread_beat_at),
            process_state=process_state(child.pid),
            requests_total=figures.requests_total,
            responses_5xx=figures.responses[-1],
            in_flight=figures.in_flight,
            memory_bytes=memory_bytes,
            throttled_s=throttled_s,
            suspended_s=clock.suspended_s(),
            starved_s=starved_s(child.pid),
        )


def _pss_bytes(child: Child) -> int | None:
    from supervisor_d.host.observation.procfs import pss_bytes

    return pss_bytes(child.pid)
