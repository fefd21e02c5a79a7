"""The peers that are believed: by address, by network, on a Unix socket, or all of them. No I/O."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

_Network = ipaddress.IPv4Network | ipaddress.IPv6Network
_Address = ipaddress.IPv4Address | ipaddress.IPv6Address

LONGEST_CHAIN: Final = 32
"""Most addresses looked at from the right, so that a long header costs little. Chosen; no evidence."""

UNIX_NODE: Final = "unix:"
"""How nginx writes a client on a Unix socket ($remote_addr, and so $proxy_add_x_forwarded_for)."""


KNOWN_MAX: Final = 1024
"""Hosts whose verdict is remembered. Chosen: most connections come from a few proxies, or each from somewhere else."""


@dataclass(frozen=True, slots=True)
class Trusted:
    """The peers that are believed."""

    networks: tuple[_Network, ...] = ()
    unix: bool = False
    everybody: bool = False
    _known: dict[str, bool] = field(default_factory=dict, compare=False, repr=False)
    """Verdicts on hosts, because parsing an address is the dearest part of a connection's beginning."""

    def trusts(self, peer: object) -> bool:
        """Whether a connection's other end, as accept() tells it, is believed; a Unix socket's is no tuple."""
        if self.everybody:
            return True
        if not isinstance(peer, tuple):
            return self.unix
        host = str(peer[0])
        verdict = self._known.get(host)
        if verdict is None:
            if len(self._known) >= KNOWN_MAX:
                self._known.clear()
            address = parse_address(host)
            verdict = self._known[host] = address is not None and self._holds(address)
        return verdict

    def find_client(self, chain: Sequence[str]) -> tuple[tuple[str, int] | None, int]:
        """The rightmost address of a chain that is not trusted itself, and how many elements stand to its right.

        Everything left of it could have been written by the client. Where an element is no address (`unknown`,
        obfuscated, or garbage) the client is hidden behind the one to its right, None if there is none: the count
        says where it stands. If all are trusted, the leftmost is the client.
        """
        found: tuple[str, int] | None = None
        looked_at = chain[-LONGEST_CHAIN:]
        for distance, node in enumerate(reversed(looked_at)):
            if node == UNIX_NODE and (self.unix or self.everybody):
                continue
            told = parse_node(node)
            if told is None:
                return found, distance
            address, port = told
            found = str(address), port
            if not self.everybody and not self._holds(address):
                return found, distance
        return found, max(0, len(looked_at) - 1)

    def _holds(self, address: _Address) -> bool:
        return any(address in network for network in self.networks)


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


def parse_address(text: str) -> _Address | None:
    """An address, an IPv4 one where it is written as IPv6; None if it is none."""
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return mapped or address


def parse_node(text: str) -> tuple[_Address, int] | None:
    """An address with or without a port, as proxies write it: 192.0.2.1:80, 2001:db8::1, [2001:db8::1]:80.

    The port is 0 if there is none, or an obfuscated one (RFC 7239 section 6.2). A zone is refused: it means nothing
    on this machine, and ipaddress lets any text pass for one.
    """
    port = ""
    if text.startswith("["):
        text, bracket, port = text[1:].partition("]")
        if not bracket or (port and not port.startswith(":")):
            return None
        port = port[1:]
    elif text.count(":") == 1:
        text, _, port = text.partition(":")
    number = _parse_port(port)
    address = parse_address(text) if "%" not in text else None
    return None if address is None or number is None else (address, number)


def _parse_port(text: str) -> int | None:
    if not text or text.startswith("_"):
        return 0
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 5 and int(text) <= 65535 else None
