"""Where the settings say to listen, as the listeners have it."""

from __future__ import annotations

from typing import Final

from supervisor_d.host.sockets.listener import Binding
from supervisor_d.settings.resolve import DEFAULT, Resolved
from supervisor_d.settings.values.address import NamedAddress, parse_address
from supervisor_d.settings.values.identity import Identity

PREDECESSOR_MARGIN_S: Final = 5.0
"""Beyond graceful-timeout. Chosen: its own last step is GIVE_UP_S, 1.25 s, and the machine may be busy."""


def binding_of(resolved: Resolved, identity: Identity | None) -> Binding:
    """Where to listen, and who said so."""
    daemon, source = resolved.settings.daemon, resolved.provenance["bind"]
    admin = parse_address(daemon.admin_bind) if daemon.admin_bind else None
    return Binding(
        addresses=[parse_address(text) for text in daemon.bind],
        source=str(source),
        backlog=daemon.backlog,
        unix_mode=daemon.unix_mode,
        is_default=source == DEFAULT,
        group=identity.gid if identity is not None else None,
        patience_s=resolved.settings.server.graceful_timeout + PREDECESSOR_MARGIN_S,
        elsewhere=frozenset([admin.name] if isinstance(admin, NamedAddress) else []),
    )
