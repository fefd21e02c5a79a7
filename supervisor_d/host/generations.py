"""What each generation of workers is configured with, and how the next one's configuration is read. Host side."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterable, Mapping

from server_core.records import dataclass
from supervisor_d.errors import SpawnError
from supervisor_d.host.processes.interpreter import worker_environment
from supervisor_d.host.system.cgroup import Cgroup
from supervisor_d.host.tls_copies import TlsCopies, copy_tls
from supervisor_d.log import Log
from supervisor_d.settings.application.env_file import variables_of
from supervisor_d.settings.application.location import Location, locate
from supervisor_d.settings.declaration import Settings
from supervisor_d.settings.difference import difference
from supervisor_d.settings.policy_terms import terms
from supervisor_d.settings.resolve import Resolved, build
from supervisor_d.settings.table import ROWS
from supervisor_d.settings.values.capacity import Explanation, usable_cpus
from supervisor_d.settings.values.identity import Identity
from supervisor_d.vocabulary import Generation, GenerationPrepared, Terms

FIRST = Generation(1)


@dataclass(frozen=True, slots=True)
class Configuration:
    """One generation's: as it was read, and as far as it applies without a restart."""

    resolved: Resolved
    settings: Settings
    terms: Terms
    capacity: Explanation
    """The CPUs that `workers = auto` counted."""
    location: Location
    tls: TlsCopies
    """What its workers read in place of the files that the settings of TLS name; closed when it is forgotten."""
    variables: Mapping[str, str]
    """What `env-file` gives its workers."""


def configure(resolved: Resolved, settings: Settings, identity: Identity | None) -> Configuration:
    """What holds now: CPUs, limits and certificates are those of this moment, and so are new at each reload."""
    is_limited = Cgroup().memory() is not None
    agreed = terms(settings, pid1=os.getpid() == 1, is_memory_limited=is_limited)
    location = locate(settings, resolved.start, searched=resolved.searched)
    variables = variables_of(location, worker_environment(os.environ))
    tls = copy_tls(location.server, identity)
    return Configuration(resolved, settings, agreed, usable_cpus(), location, tls, variables)


def applicable(old: Settings, new: Settings) -> Settings:
    """`new` as far as a reload can apply it; what only a restart can change stays `old`."""
    return build({name: row.of(new if row.option.reloads else old) for name, row in ROWS.items()})


class Generations:
    """Configurations by generation, from the first one's on; `identity` is what workers are, None: what we are."""

    def __init__(self, resolved: Resolved, identity: Identity | None = None) -> None:
        self._identity = identity
        self._by_number = {FIRST: configure(resolved, resolved.settings, identity)}
        self._first = resolved

    def __getitem__(self, generation: Generation) -> Configuration:
        """SpawnError if the generation was never prepared, or is forgotten: no worker of it can be spawned."""
        if generation not in self._by_number:
            raise SpawnError(f"generation {generation} has no configuration")
        return self._by_number[generation]

    @property
    def newest_number(self) -> Generation:
        """Of the newest that was not discarded."""
        return max(self._by_number)

    @property
    def newest(self) -> Configuration:
        """The newest that was not discarded."""
        return self._by_number[max(self._by_number)]

    def rows(self) -> list[tuple[str, str, str]]:
        """(long name, value, source) of every setting as the newest generation that was not discarded has it."""
        first = {name: (value, source) for name, value, source in self._first.as_rows()}
        newest = self._by_number[max(self._by_number)].resolved.as_rows()
        reloads = {row.long: row.option.reloads for row in ROWS.values()}
        return [(name, value, source) if reloads[name] else (name, *first[name]) for name, value, source in newest]

    def prepare(self, generation: Generation, needed: Iterable[Generation]) -> GenerationPrepared:
        """Read the configuration again for this generation; ConfigurationError or OSError if it is not sound.

        The newest generation so far is the one that serves, since one that was rolled back has been discarded. Of the
        older ones only those still `needed` are kept.
        """
        newest = max(self._by_number)
        serving = self._by_number[newest].settings
        resolved = self._by_number[newest].resolved.reread()
        for number in set(self._by_number) - {newest, *needed}:
            self.discard(number)
        prepared = configure(resolved, applicable(serving, resolved.settings), self._identity)
        self._by_number[generation] = prepared
        return GenerationPrepared(generation, prepared.terms, difference(serving, resolved.settings))

    def settle(self, generation: Generation, log: Log) -> None:
        """If the directory that the generation runs in is gone, find the one that its path names now, and say so.

        Raises SpawnError or ConfigurationError if there is no such directory any more.
        """
        known = self[generation]
        if known.location.is_there:
            return
        location = locate(known.settings, known.resolved.start, searched=known.resolved.searched)
        if not location.is_there:
            raise SpawnError(f"app-dir: must be a directory that exists, and {location.server.app_dir!r} is gone")
        self._by_number[generation] = dataclasses.replace(known, location=location)
        log("directory.gone", generation=generation, gone=known.location.directory, entered=location.directory)

    def discard(self, generation: Generation) -> None:
        """Forget a generation that was rolled back; nothing if it is not known."""
        forgotten = self._by_number.pop(generation, None)
        if forgotten is not None:
            forgotten.tls.close()

    def close(self) -> None:
        """Give up what the generations hold, and know them still."""
        for known in self._by_number.values():
            known.tls.close()
