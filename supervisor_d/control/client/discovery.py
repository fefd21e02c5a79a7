"""Which daemon `ctl` means: the one that was named, else the only one of ours that runs. Effects; for ctl."""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Mapping
from dataclasses import field
from typing import Final

from server_core.exit_codes import EXIT_USAGE
from server_core.records import dataclass
from supervisor_d.control.client.client import ClientError, Distrusted, NoDaemon, connect, distrust
from supervisor_d.control.peer import Peer, Trust, peer_of, usual_trust
from supervisor_d.control.socket_path import OFF, called, found, is_abstract
from supervisor_d.errors import SupervisorError

VARIABLE: Final = "SUPERVISOR_D_CONTROL_SOCKET"
PROBE_TIMEOUT_S: Final = 1.0
PROBES_TIMEOUT_S: Final = 10.0
"""For all probes together: names that others have squatted must not add up. Chosen, as client.TIMEOUT_S."""


class SeveralDaemons(SupervisorError):
    """The operator's: which one is meant must be said."""

    exit_code = EXIT_USAGE


@dataclass(frozen=True, slots=True)
class Found:
    """The daemon that is meant; `peer` is known where it was looked for, and not where its address was given."""

    address: str
    peer: Peer | None = None
    is_named: bool = True
    """Whether the operator said which one, rather than that there is no other."""
    passed_over: tuple[str, ...] = ()
    """Why others that answer were not considered."""


@dataclass(slots=True)
class Sighting:
    """What answers a connection in the usual places."""

    ours: dict[str, Peer] = field(default_factory=dict)
    strangers: dict[str, Peer] = field(default_factory=dict)
    forbidden: list[str] = field(default_factory=list)


def find(explicit: str, environ: Mapping[str, str], name: str = "", trust: Trust | None = None) -> Found:
    """The daemon that is meant: the one given, else the only one that runs.

    `explicit` is --socket: a path, @NAME, a socket's file in this directory, or the bare name of a daemon; `name` is
    --name. Where both are empty the variable is looked at. Raises NoDaemon, SeveralDaemons, Distrusted if only
    processes of other users answer, or ClientError if one is there but must not be connected to.
    """
    trust = trust or usual_trust()
    wanted = explicit or name or environ.get(VARIABLE, "")
    if wanted.lower() == OFF and not name:
        raise NoDaemon(f"{VARIABLE} is off; give --socket PATH or @NAME")
    if not name and ("/" in wanted or is_abstract(wanted)):
        return Found(wanted)
    if explicit and is_socket_file(explicit):
        return Found(f"./{explicit}")
    seen = look_around(environ, trust)
    matching = [address for address in seen.ours if wanted in ("", called(address))]
    doubts = {
        address: distrust(address, peer, trust)
        for address, peer in seen.strangers.items()
        if wanted in ("", called(address))
    }
    if len(matching) == 1:
        return Found(matching[0], seen.ours[matching[0]], bool(wanted), tuple(doubts.values()))
    if matching:
        listed = ", ".join(f"{called(address)} ({address})" for address in matching)
        raise SeveralDaemons(f"several daemons run: {listed}; choose one with --socket NAME or PATH")
    if doubts:
        raise Distrusted("; ".join(doubts.values()))
    if seen.forbidden:
        raise ClientError(f"not permitted to connect to {', '.join(seen.forbidden)}")
    which = f" called {wanted!r}" if wanted else ""
    others = f"; there is {', '.join(map(called, seen.ours))}" if seen.ours else ""
    raise NoDaemon(f"no daemon{which} runs here{others}; if it has a place of its own, give --socket PATH")


def is_socket_file(name: str) -> bool:
    """Whether a socket of this name is in the working directory."""
    try:
        return stat.S_ISSOCK(os.stat(name).st_mode)
    except OSError:
        return False


def look_around(environ: Mapping[str, str], trust: Trust) -> Sighting:
    """The addresses that answer a connection, by whose they are, and those that we may not try."""
    seen = Sighting()
    give_up_at = time.monotonic() + PROBES_TIMEOUT_S
    for address in found(environ):
        left = give_up_at - time.monotonic()
        if left <= 0:
            break  # the usual places with a file come first, so squatted names are what is left out
        try:
            with connect(address, min(PROBE_TIMEOUT_S, left)) as connection:
                peer = peer_of(connection)
        except NoDaemon:
            continue  # a dead socket: its daemon was killed
        except ClientError:
            seen.forbidden.append(address)
        else:
            (seen.ours if trust.believes(peer) else seen.strangers)[address] = peer
    return seen
