"""The messages on the pipe between a master and a worker: their verbs, their form, their limits; pure.

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
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import field
from typing import Final

from server_core.records import dataclass

MESSAGE_LIMIT: Final = 131072
"""Largest message in bytes; below Linux's default socket buffer (212,992), so that one send is one message."""

TRACEBACK_LIMIT: Final = 60000
"""Characters kept of a traceback, from its end: there the exception is. JSON at most doubles it."""


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
