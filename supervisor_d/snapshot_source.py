"""What the control API sees of the daemon at one moment, gathered from the parts that know it. No judgement."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import partial

from server_core.contract.figures import Figures
from server_core.contract.spec import Template
from server_core.records import dataclass
from supervisor_d import clock
from supervisor_d._version import __version__
from supervisor_d.control.lazy_mapping import LazyMapping
from supervisor_d.control.snapshot import Capacity, ConfigRow, Forking, Snapshot
from supervisor_d.host.generations import Generations
from supervisor_d.host.journal.event_ring import Journal
from supervisor_d.host.observation.incidents import Incidents
from supervisor_d.host.observation.observer import Observer
from supervisor_d.host.observation.scoreboard import Scoreboard
from supervisor_d.host.observation.shared_memory import saved_bytes
from supervisor_d.host.processes.prefork import PreforkFactory
from supervisor_d.host.processes.process_table import ProcessTable
from supervisor_d.host.sockets.listeners import Listeners
from supervisor_d.host.system.cgroup import Cgroup
from supervisor_d.settings.declaration import Settings
from supervisor_d.settings.values.identity import Identity, own_identity
from supervisor_d.vocabulary import Instant, Pid, Slot
from supervisor_d.vocabulary.status import SlotState, Status


@dataclass(frozen=True, slots=True)
class SnapshotSource:
    """The parts that are asked; `status` is the policy's, `identity` is what workers are to be, None: what we are."""

    settings: Settings
    started_at: Instant
    status: Callable[[Instant], Status]
    scoreboard: Scoreboard
    observer: Observer
    listeners: Listeners
    identity: Identity | None
    generations: Generations
    cgroup: Cgroup
    journal: Journal
    incidents: Incidents
    prefork: PreforkFactory
    children: ProcessTable

    def view(self) -> Snapshot:
        """This moment, for the reading commands."""
        now = clock.now()
        status = self.status(now)
        return Snapshot(
            name=self.settings.daemon.name,
            version=__version__,
            app=self.settings.server.app,
            pid=Pid(os.getpid()),
            started_at=self.started_at,
            now=now,
            wall=clock.wall(),
            status=status,
            figures=self._figures(),
            retired=self.scoreboard.retired,
            rss_bytes=LazyMapping(self.observer.rss_bytes),
            listeners=self.listeners.specs,
            identity=self.identity or own_identity(),
            master_uid=os.geteuid(),
            config=tuple(ConfigRow(*row) for row in self.generations.rows()),
            capacity=self._capacity(),
            events=tuple(self.journal.ring),
            event_counts=dict(self.journal.counts),
            incidents=tuple(self.incidents),
            template=self._forking(Template.SERVER, status),
            preload=self._forking(Template.APPLICATION, status),
        )

    def _forking(self, kind: Template, status: Status) -> Forking | None:
        number = self.generations.newest_number
        ready = {slot.slot for slot in status.slots if slot.state is SlotState.READY and slot.generation == number}
        entry = self.prefork.entry(number)
        if entry is None and kind is Template.APPLICATION and self.generations[number].settings.daemon.preload:
            return Forking(number, None, None)
        if entry is None or entry.kind is not kind:
            return None
        pid = entry.template.pid if entry.template is not None else None
        forked = [child.pid for child in self.children if child.slot in ready and child.process is None]
        return Forking(number, pid, entry.refusal, partial(saved_bytes, pid, forked))

    def _capacity(self) -> Capacity:
        counted, memory = self.generations.newest.capacity, self.cgroup.memory()
        told = None
        if memory is not None:
            told = {
                "limit_bytes": memory.limit_bytes,
                "used_bytes": memory.used_bytes,
                "spare_bytes": memory.spare_bytes,
            }
        return Capacity(counted.count, counted.reasons, told)

    def _figures(self) -> dict[Slot, Figures]:
        return {child.slot: self.scoreboard.figures(child.slot) for child in self.children}
