"""The worker spec, the first message on the pipe, and how a worker is spawned; pure.

A worker can live without a supervisor, but not without the contract of this room: the spec, the messages
(messages.py), the scoreboard (scoreboard.py, figures.py). What honours it can be supervised.

Spawning.  `python -P -m server_core.worker FD` with the pipe as descriptor FD, or the same by way of BEGIN (search.py),
which finds server_core where the master did. All other descriptors keep their numbers and are named in the WorkerSpec,
which is the first message on the pipe. Every signal is blocked in the child
until its handlers are installed, so that nothing sent to a starting worker is lost or kills it.

Certificates.  tls_fds are sealed copies of the files that the settings of TLS name, in the order of tls/files.py, as
the master has verified them for this generation; none: the worker reads the files themselves. A worker reads the
copies before it imports the application, and closes them. The programs and processes that it starts do not get them.
"""

from __future__ import annotations

import dataclasses
import enum
from collections.abc import Mapping
from dataclasses import field
from typing import Final

from server_core.contract.messages import encode
from server_core.contract.search import Search
from server_core.records import dataclass
from server_core.settings.declaration import ServerSettings

SLOT_VARIABLE: Final = "SUPERVISOR_D_SLOT"

INDEX_VARIABLE: Final = "SUPERVISOR_D_INDEX"
"""In the environment of a worker and of the programs that it starts; the index not in a template's."""


@dataclass(frozen=True, slots=True)
class ListenerSpec:
    """One listening socket as the worker inherits it; its address for people, and what the master has set it to."""

    fd: int
    address: str
    options: Mapping[str, str] = field(default_factory=dict)


class Template(enum.StrEnum):
    """Whether other workers are forked from a process, and what it has imported before the first of them is."""

    NONE = "none"
    """It is a worker itself."""
    SERVER = "server"
    """The server, and what most applications import of the standard library: each worker imports the application."""
    APPLICATION = "application"
    """The application, too (`preload`)."""


OF_THE_START: Final = ("environment", "umask")
"""Given by the process that starts it, and in no message: it has them when it reads the first one."""


@dataclass(frozen=True, slots=True)
class WorkerSpec:
    """Everything a worker is told at birth. `beat_s` is the interval of its beats in seconds, `watch_s` that of
    the looks that its second thread takes at them; `index` is 0 to N-1 among the workers of its generation.
    With a `template` it imports what that says and then forks other workers instead of serving, if it can be forked.
    In the spec of a forked worker `record_fd` is not valid: the descriptor came with the order to fork.
    """

    slot: int
    generation: int
    name: str
    listeners: tuple[ListenerSpec, ...]
    record_fd: int
    loads_fd: int
    beat_s: float
    watch_s: float
    settings: ServerSettings
    template: Template = Template.NONE
    directory: str = ""
    """Where the application runs, absolute; nothing is where the process began. A forked worker that has yet to import
    the application enters it, one that was spawned is there."""
    index: int = 0
    search: Search = Search()
    terminal: bool = False
    """Whether its standard input is to be the terminal that the master was started from."""
    tls_fds: tuple[int, ...] = ()
    stuck_s: float = 30.0
    """Seconds after which a thread that runs one request is reported as stuck; 0 is never."""
    title: str = ""
    """What ps(1) shows of it before its role; nothing: its arguments."""
    environment: Mapping[str, str] = field(default_factory=dict)
    """Variables that the process is started with besides the master's; a forked worker has its template's."""
    umask: int = -1
    """The umask that it is started with; -1 is the master's."""

    @property
    def descriptors(self) -> tuple[int, ...]:
        """Everything that a worker inherits besides its pipe."""
        return *(listener.fd for listener in self.listeners), self.record_fd, self.loads_fd, *self.tls_fds

    def as_message(self) -> bytes:
        told = dataclasses.asdict(self)
        for name in OF_THE_START:
            del told[name]
        return encode("spec", told)

    @staticmethod
    def from_fields(fields: Mapping[str, object]) -> WorkerSpec:
        """The spec again from a `spec` message's fields; KeyError, TypeError or ValueError if the two differ."""
        values = dict(fields)
        listeners, settings = values.pop("listeners"), values.pop("settings")
        template = Template(str(values.pop("template", Template.NONE)))
        search = Search.from_field(values.pop("search", {}))
        tls_fds = values.pop("tls_fds", [])
        if not isinstance(listeners, list) or not isinstance(settings, dict) or not isinstance(tls_fds, list):
            raise TypeError("spec: listeners and tls_fds must be lists and settings an object")
        return WorkerSpec(
            listeners=tuple(ListenerSpec(**listener) for listener in listeners),
            template=template,
            search=search,
            tls_fds=tuple(tls_fds),
            settings=ServerSettings(**{name: _tupled(value) for name, value in settings.items()}),  # type: ignore[arg-type]  # checked by name, as below
            **values,  # type: ignore[arg-type]  # checked by the dataclass's own parameter names
        )


def _tupled(value: object) -> object:
    """JSON has no tuples, and settings hold no lists."""
    return tuple(value) if isinstance(value, list) else value
