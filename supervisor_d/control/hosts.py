"""Which names a request at admin-bind may ask for: the guard against DNS rebinding; pure.

A page in a browser may send requests to any name of its own site, and that site's DNS may say that the name is
127.0.0.1, or an address in the machine's network. The browser then lets the page read the answers. But it says the name
in Host. So that must be an address that the socket is bound to, or a name that the operator listed. Where it is bound
to every interface each address will do: one that is written as a number is not looked up, and so cannot be rebound.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence

from server_core.records import dataclass
from supervisor_d.control.command_types import Call, Command
from supervisor_d.control.messages import Refused, Request
from supervisor_d.control.routing import understand

LOCAL_NAMES = frozenset(("localhost", "localhost.localdomain", "ip6-localhost"))
"""Names that resolvers have for the loopback interface, and never ask for (RFC 6761 6.3)."""


@dataclass(frozen=True, slots=True)
class Hosts:
    """What may stand in Host: addresses as `bound` says, and the names in `listed`.

    `bound` is the address of the listener, None for one that no browser reaches (a Unix socket).
    """

    bound: str | None
    listed: frozenset[str] = frozenset()

    def accept(self, host: str) -> bool:
        """Whether a request with this Host may be answered; one without is no browser's."""
        if self.bound is None or not host or "*" in self.listed:
            return True
        name = name_of(host)
        return name in self.listed or self._is_bound(name)

    def _is_bound(self, name: str) -> bool:
        bound = ipaddress.ip_address(str(self.bound).partition("%")[0])
        if name in LOCAL_NAMES:
            return bound.is_loopback or bound.is_unspecified
        try:
            asked = ipaddress.ip_address(name)
        except ValueError:
            return False
        return bound.is_unspecified or asked == bound


def name_of(host: str) -> str:
    """The name in a Host field, in lower case, without its port, brackets and final dot (RFC 9110 7.2)."""
    lowered = host.strip().lower()
    if lowered.startswith("["):
        return lowered[1:].partition("]")[0].partition("%")[0]
    return lowered.partition(":")[0].rstrip(".")


@dataclass(frozen=True, slots=True)
class Guard:
    """Understands requests for the commands of a table, if they ask for a host that may be asked for."""

    hosts: Hosts
    table: Sequence[Command]

    def __call__(self, request: Request) -> Call:
        if not self.hosts.accept(request.host):
            raise Refused(
                421,
                f"Host: {request.host[:80]!r} is no address of this listener and not in admin-hosts; "
                "give admin-hosts the names that probes and scrapes use",
            )
        return understand(request, self.table)
