"""What crosses the process boundary: the worker spec, the descriptors, the pipe messages, the scoreboard.

A worker can live without a supervisor, but not without this contract; whatever honours it can be supervised.
Everything here is pure: bytes and numbers in, values out.

Spawning.  `python -P -m server_core.worker FD` with the pipe as descriptor FD, or the same by way of BEGIN (search.py),
which finds server_core where the master did. All other descriptors keep their numbers and are named in the WorkerSpec,
which is the first message on the pipe. Every signal is blocked in the child
until its handlers are installed, so that nothing sent to a starting worker is lost or kills it.

Pipe.  One stream-ordered socket pair (SOCK_SEQPACKET where there is one). Each message is one line:
`verb` or `verb JSON-object`, ended by a newline. EOF means the other side is gone.

    worker -> master   booted                      handlers are installed; the imports begin
                       started                     lifespan start-up is complete; the health probe begins
                       ready                       will serve as soon as it is told to
                       failed {stage, traceback}   could not boot; the process exits with EXIT_BOOT_FAILED after it
                       recycle {reason}            asks to be replaced: max-requests, or an operator's SIGTERM
                       stuck {busy, threads, queued, oldest_s, where, stacks}
                                                   threads of a WSGI application have run one request each for longer
                                                   than spec.stuck_s: those of the pool that are busy, of so many, and
                                                   how many requests wait; at most once in that time (wsgi/stuck.py)
                       parked                      accepts no more, in answer to park
                       draining                    has closed the listeners and is finishing, in answer to drain
                       finished                    the requests are over: lifespan shutdown begins, and may block the
                                                   event loop for what is left of the budget
                       drained {lifespan_error}    lifespan shutdown is over, or the import given up; exits next (the
                                                   field: if the shutdown failed)
                       held {threads, processes, stacks}
                                                   behind drained: these threads, which the process does not wait for
                                                   any more, or child processes keep it from its end (worker/exit.py)
                       preloaded                   spec.template: what is to be shared is imported; it forks from now on
                       unforkable {reason}         spec.template: it must not be forked; goes on as a worker
                       forked {slot, pid}          a worker was forked, and is the master's child
                       fork_failed {slot, error}   none was
    master -> worker   spec {...}                  first message, once
                       serve                       join the listeners (again, after park)
                       park                        leave the listeners; finish what is there; stay alive
                       drain {timeout_s, final}    leave and finish within timeout_s; final: no other worker follows,
                                                   so empty the accept queues before leaving
                       hurry                       behind drain: give up the step of the end that is under way, the
                                                   requests first, then the lifespan shutdown. Nothing else does:
                                                   SIGTERM, which a whole process group may get, is no haste
                       reopen                      reopen log files
                       listen {address, options}   accept from this listener, too: it was bound in the place of the
                                                   one of this address; with its descriptor (SCM_RIGHTS)
                       unlisten {address, fd}      close this listener, which was shut down: its name is free only when
                                                   no process has it. fd: its number in a template, which heeds it, too
                       fork {slot}                 to one that is preloaded, with two descriptors (SCM_RIGHTS): the
                                                   worker's pipe, its spec already in it, and its record

Beats.  A worker's event loop stores the monotonic instant in its scoreboard record about once a second, and a second
thread does the same in a field of its own. The master reads them only when a deadline comes, so a beat costs neither
side a system call, and an idle master sleeps. Silence of the loop alone: the loop is blocked. Silence of both: the
interpreter is held by C code, or the process is stopped (then the kernel says so).

Stacks.  On STACKS_SIGNAL the worker's faulthandler writes the stacks of all threads behind its record, even while C
code holds the interpreter. It is installed before `booted` is sent, never sooner. The master sets the place: both share
the offset of record_fd, and nothing but stacks is written by write(2) there.

Certificates.  tls_fds are sealed copies of the files that the settings of TLS name, in the order of tls/files.py, as
the master has verified them for this generation; none: the worker reads the files themselves. A worker reads the
copies before it imports the application, and closes them. The programs and processes that it starts do not get them.

Record.  record_fd is a file of RECORD_FILE_BYTES that only this worker and the master hold; it cannot be made shorter
or longer. loads_fd is a table that all workers share, and that the master does not read; it may hold anything.
"""

from __future__ import annotations

import dataclasses
import enum
import json
import signal
import struct
from collections.abc import Mapping
from dataclasses import field
from typing import Final, NamedTuple

from server_core.contract.search import Search
from server_core.records import dataclass
from server_core.settings.declaration import ServerSettings

STACKS_SIGNAL: Final[int] = signal.SIGRTMIN + 1 if hasattr(signal, "SIGRTMIN") else signal.SIGUSR2
"""A real-time signal where there is one: applications use SIGUSR1 and SIGUSR2 for themselves."""

SLOT_VARIABLE: Final = "SUPERVISOR_D_SLOT"
INDEX_VARIABLE: Final = "SUPERVISOR_D_INDEX"
"""In the environment of a worker and of the programs that it starts; the index not in a template's."""

MESSAGE_LIMIT: Final = 131072
"""Largest message in bytes; below Linux's default socket buffer (212,992), so that one send is one message."""

TRACEBACK_LIMIT: Final = 60000
"""Characters kept of a traceback, from its end: there the exception is. JSON at most doubles it."""


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
"""What whoever starts the process gives it, and no message tells: it has them when it reads the first one."""


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


@dataclass(frozen=True, slots=True)
class Message:
    """One line of the pipe."""

    verb: str
    fields: Mapping[str, object] = field(default_factory=dict)


def encode(verb: str, fields: Mapping[str, object] | None = None) -> bytes:
    """One line for the pipe."""
    if fields is None:
        return verb.encode() + b"\n"
    return f"{verb} {json.dumps(fields, separators=(',', ':'))}\n".encode()


def decode(line: bytes) -> Message:
    """The message in one line, with or without its newline; ValueError if it is none."""
    verb, _, rest = line.rstrip(b"\n").partition(b" ")
    fields = json.loads(rest) if rest else {}
    if not verb or not isinstance(fields, dict):
        raise ValueError(f"not a pipe message: {line[:80]!r}")
    return Message(verb.decode("ascii"), fields)


TERMINATE_GRACE_S: Final = 2.0
"""From `hurry` (or SIGTERM, in a boot) to SIGKILL: what is unfinished is given up, lifespan shutdown still runs.
Chosen; no evidence. The worker's steps within it follow, so that none is planned longer than it can last."""

CLEAN_UP_S: Final = 0.5
"""What given-up requests get for their `finally` blocks, at most. Chosen; no evidence."""

GIVE_UP_S: Final = 1.25
"""What a lifespan shutdown gets at least when requests used up the budget, or were given up; a quarter of a second of
the grace is left for the exit itself. Chosen; no evidence."""


class InFlight(NamedTuple):
    """One request that a worker has not finished; `started_at` is a monotonic instant in seconds."""

    started_at: float
    method: str
    path: str


SLOTS_MAX: Final = 4096
"""Slots there can be, and entries in the table of loads, which is sparse: a page is used when its slots are."""

RECORD_BYTES: Final = 8192
"""Bytes of one worker's record: the figures (figures.py), then the in-flight table."""

STACKS_OFFSET: Final = RECORD_BYTES
STACKS_BYTES: Final = 65536
"""Room for stacks behind the record. faulthandler stops at 100 threads of 100 frames each, which can be more: the first
threads tell the story."""

RECORD_FILE_BYTES: Final = STACKS_OFFSET + STACKS_BYTES

IN_FLIGHT_OFFSET: Final = 1024
IN_FLIGHT_ENTRY: Final = struct.Struct("=d12s172s")
IN_FLIGHT_MAX: Final = (RECORD_BYTES - IN_FLIGHT_OFFSET) // IN_FLIGHT_ENTRY.size
"""Requests told one by one; how many there are in all is in Figures.in_flight."""


LOAD: Final = struct.Struct("=qd")
"""One worker's entry in the table of loads, which the workers read of each other: its connections + 1, or 0 if it does
not accept; and its loop's last beat. Entry 0 is the master's: the highest slot that was ever in use, and nothing."""

LOADS_BYTES: Final = SLOTS_MAX * LOAD.size


def load_offset(slot: int) -> int:
    """Where a slot's entry in the table of loads begins."""
    return slot * LOAD.size


def pack_in_flight(entries: list[InFlight]) -> bytes:
    """The in-flight table, oldest first as given; a zero instant ends it, long paths are cut."""
    packed = b"".join(
        IN_FLIGHT_ENTRY.pack(
            entry.started_at, entry.method.encode("latin-1", "replace"), entry.path.encode("utf-8", "replace")
        )
        for entry in entries[:IN_FLIGHT_MAX]
    )
    return packed.ljust(IN_FLIGHT_MAX * IN_FLIGHT_ENTRY.size, b"\0")


def unpack_in_flight(record: bytes) -> list[InFlight]:
    """The in-flight table of a whole record."""
    entries: list[InFlight] = []
    for index in range(IN_FLIGHT_MAX):
        started_at, method, path = IN_FLIGHT_ENTRY.unpack_from(record, IN_FLIGHT_OFFSET + index * IN_FLIGHT_ENTRY.size)
        if started_at == 0.0:
            break
        entries.append(
            InFlight(
                started_at,
                method.rstrip(b"\0").decode("latin-1"),
                path.rstrip(b"\0").decode("utf-8", "replace"),
            )
        )
    return entries
