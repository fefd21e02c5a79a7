"""Whom we believe about the client: X-Forwarded-For and X-Forwarded-Proto from trusted peers, from nobody else.

Trust in a peer is decided once per connection. Of a chain of addresses the rightmost one that is not itself trusted
is the client: everything left of it could have been written by the client.
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from typing import Final

from server_core.http.wire import Fields

_Network = ipaddress.IPv4Network | ipaddress.IPv6Network
_Address = ipaddress.IPv4Address | ipaddress.IPv6Address

LONGEST_CHAIN: Final = 32
"""Most addresses looked at from the right, so that a long header costs little. Chosen; no evidence."""


@dataclass(frozen=True, slots=True)
class Trusted:
    """The peers that are believed."""

    networks: tuple[_Network, ...] = ()
    unix: bool = False
    everybody: bool = False

    def trusts(self, host: str | None) -> bool:
        """Whether the peer at this address is believed; None is a peer on a Unix socket."""
        if self.everybody:
            return True
        if host is None:
            return self.unix
        address = _address(host)
        return address is not None and any(address in network for network in self.networks)

    def amend(self, scope: dict[str, object], forwarded: Fields) -> None:
        """Put what a trusted peer says about the client into a scope."""
        client, scheme = self.client(forwarded)
        if client is not None:
            scope["client"] = (client, 0)
        if scheme is not None:
            scope["scheme"] = scheme

    def client(self, forwarded: Fields) -> tuple[str | None, str | None]:
        """Client address and scheme, each None if a trusted peer's fields do not say it."""
        hops: list[str] = []
        scheme: str | None = None
        for name, value in forwarded:
            text = value.decode("latin-1")
            if name == b"x-forwarded-for":
                hops.extend(text.split(","))
            else:
                last = text.rpartition(",")[2].strip().lower()
                scheme = last if last in ("http", "https") else scheme
        found: str | None = None
        for hop in reversed(hops[-LONGEST_CHAIN:]):
            address = _address(_without_port(hop.strip()))
            if address is None:
                break  # whatever stands here, nothing left of it can be trusted either
            found = str(address)
            if not self.everybody and not any(address in network for network in self.networks):
                break
        return found, scheme


def parse_trusted(text: str) -> Trusted:
    """The peers named in a setting: addresses, networks, `unix` or `*`, with commas; ValueError names a bad part."""
    networks: list[_Network] = []
    unix = everybody = False
    for part in (piece.strip() for piece in text.split(",")):
        if part == "*":
            everybody = True
        elif part.lower() == "unix":
            unix = True
        elif part:
            try:
                networks.append(ipaddress.ip_network(part, strict=False))
            except ValueError:
                raise ValueError(f"must be addresses, networks, unix or *, with commas, not {part!r}") from None
    return Trusted(tuple(networks), unix, everybody)


def _address(text: str) -> _Address | None:
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return mapped or address


def _without_port(hop: str) -> str:
    """An address as some proxies write it, with a port: 192.0.2.1:80 or [2001:db8::1]:80."""
    if hop.startswith("["):
        return hop[1:].partition("]")[0]
    if hop.count(":") == 1:
        return hop.partition(":")[0]
    return hop
