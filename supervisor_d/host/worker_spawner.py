"""Orders to spawn a worker: its spec, when its turn comes, and what is left if it is called off. Host side.

To start a process takes milliseconds, so it is deferred to a turn of the loop of its own. A worker that is ordered to
end before that is not spawned at all: that is reported as SpawnFailed.
"""

from __future__ import annotations

from typing import Final

from server_core.contract.spec import Template, WorkerSpec
from server_core.records import dataclass
from supervisor_d.errors import SupervisorError
from supervisor_d.host.deferred_work import DeferredWork
from supervisor_d.host.generations import Generations
from supervisor_d.host.observation.scoreboard import Scoreboard
from supervisor_d.host.processes.prefork import CALLED_OFF, PreforkFactory
from supervisor_d.host.reactor import Reactor
from supervisor_d.host.sockets.listeners import Listeners
from supervisor_d.host.system.standard_streams import has_terminal
from supervisor_d.log import Log
from supervisor_d.settings.declaration import DaemonSettings
from supervisor_d.vocabulary import Generation, Slot, SpawnFailed, SpawnWorker

REFUSALS: Final = (OSError, SupervisorError)
"""What the system, or what we ourselves, can refuse; anything else is a mistake of ours: see faults.py."""


@dataclass(frozen=True, slots=True)
class SpawnEquipment:
    """What a worker's spec is made from, and what starts it. `name` is the daemon's."""

    name: str
    reactor: Reactor
    log: Log
    listeners: Listeners
    scoreboard: Scoreboard
    prefork: PreforkFactory
    generations: Generations


class WorkerSpawner:
    """The workers that are ordered and not spawned yet."""

    def __init__(self, equipment: SpawnEquipment, deferred: DeferredWork) -> None:
        self._with = equipment
        self._deferred = deferred
        self._ordered: dict[Slot, SpawnWorker] = {}

    @property
    def generations(self) -> set[Generation]:
        """Those whose configuration is still needed to spawn a worker."""
        return {order.generation for order in self._ordered.values()}

    def spawn(self, order: SpawnWorker) -> None:
        """Spawn it in a later turn of the loop."""
        self._ordered[order.slot] = order
        self._deferred.add(lambda: self._begin(order))

    def call_off(self, slot: Slot) -> bool:
        """True if the slot's worker is not spawned yet, and now will not be."""
        if self._ordered.pop(slot, None) is not None:
            self._with.reactor.tell(SpawnFailed(slot, CALLED_OFF))
            return True
        return self._with.prefork.call_off(slot)

    def _begin(self, order: SpawnWorker) -> None:
        if self._ordered.get(order.slot) is not order:
            return  # called off; perhaps the slot has been given another order to spawn since
        del self._ordered[order.slot]
        try:
            self._with.generations.settle(order.generation, self._with.log)
            self._with.prefork.spawn(self._spec(order))
        except REFUSALS as error:
            self._with.reactor.tell(SpawnFailed(order.slot, str(error)))

    def _spec(self, order: SpawnWorker) -> WorkerSpec:
        has = self._with
        configuration = has.generations[order.generation]
        return WorkerSpec(
            slot=order.slot,
            generation=order.generation,
            name=has.name,
            listeners=has.listeners.specs,
            record_fd=has.scoreboard.renew(order.slot, order.generation),
            loads_fd=has.scoreboard.loads_fd,
            beat_s=configuration.terms.beat_s,
            watch_s=configuration.terms.watch_s,
            settings=configuration.location.server,
            directory=configuration.location.directory,
            search=configuration.location.search,
            terminal=configuration.terms.workers == 1 and order.index == 0 and has_terminal(),
            template=_template(configuration.settings.daemon),
            index=order.index,
            tls_fds=configuration.tls.descriptors,
            stuck_s=configuration.terms.timeout,
            title=configuration.settings.daemon.proc_title,
            environment=configuration.variables,
            umask=configuration.settings.daemon.umask,
        )


def _template(daemon: DaemonSettings) -> Template:
    """What is imported before workers are forked. `preload` goes further, and has the last word."""
    if daemon.preload:
        return Template.APPLICATION
    return Template.SERVER if daemon.template else Template.NONE
