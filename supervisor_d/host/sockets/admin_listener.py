"""Where probes and scrapes come in: admin-bind, opened as a listener for requests is. Host side.

Answered by the master, by the machinery of the control socket with a shorter table (control/commands.OPEN_COMMANDS). It
stays open until the very end, so that a probe gets "not ready" during a stop rather than refused.
"""

from __future__ import annotations

import socket
from collections.abc import Mapping, Sequence
from typing import Final

from supervisor_d.errors import ListenerError
from supervisor_d.host.sockets.activation import passed_sockets
from supervisor_d.host.sockets.listener import Binding, Listener, bind_patiently, listen_again
from supervisor_d.host.sockets.listeners import inherit
from supervisor_d.settings.values.address import Address, InheritedAddress, NamedAddress

BACKLOG: Final = 128
"""Chosen: as for the control socket, twice the connections that are served at once."""


def open_admin_listeners(
    address: Address, source: str, unix_mode: int, environ: Mapping[str, str]
) -> Sequence[Listener]:
    """One for each address that the name stands for. Raises ListenerError, leaving nothing open."""
    if isinstance(address, InheritedAddress):
        return [inherit(address.fd, str(address), f"admin-bind, from {source}")]
    if isinstance(address, NamedAddress):
        passed = [each for each in passed_sockets(environ) if each.name == address.name]
        if not passed:
            raise ListenerError(f"{address}: no socket of this name was passed (admin-bind, from {source})")
        return [inherit(each.fd, f"fd://{each.fd}", f"LISTEN_FDS {each.name}") for each in passed]
    return bind_patiently(address, Binding([address], source, BACKLOG, unix_mode))


def rebind(listener: Listener, unix_mode: int) -> Listener:
    """Another in place of a Unix socket whose file is gone. Raises OSError."""
    return listen_again(listener, Binding([], listener.source, BACKLOG, unix_mode))


def bound_host(listener: Listener) -> str | None:
    """The address that it is bound to, without the port; None for a Unix socket."""
    return None if listener.socket.family == socket.AF_UNIX else str(listener.socket.getsockname()[0])
