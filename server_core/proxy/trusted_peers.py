"""The peers that are believed: by address, by network, on a Unix socket, or all of them. No I/O.

Addresses are the bytes that inet_pton() makes of them, 4 or 16: to read one takes 0.6 us, where ipaddress's objects
took 3.1 us (parse_node(), CPython 3.11), and bytes of one length sort as the numbers do.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from socket import AF_INET, AF_INET6, inet_ntop, inet_pton
from typing import Final

from server_core.records import dataclass

Network = tuple[bytes, bytes]
"""The first and the last address of a network."""

_MAPPED: Final = bytes(10) + b"\xff\xff"
"""How an IPv4 address begins that is written as IPv6 (RFC 4291 section 2.5.5.2)."""

LONGEST_CHAIN: Final = 32
"""Most addresses looked at from the right, so that a long header costs little. Chosen; no evidence."""

UNIX_NODE: Final = "unix:"
"""How nginx writes a client on a Unix socket ($remote_addr, and so $proxy_add_x_forwarded_for)."""


@dataclass(frozen=True, slots=True)
class Trusted:
    """The peers that are believed."""

    networks: tuple[Network, ...] = ()
    unix: bool = False
    everybody: bool = False

    def trusts(self, peer: object) -> bool:
        """Whether a connection's other end, as accept() tells it, is believed; a Unix socket's is no tuple."""
        if self.everybody:
            return True
        if not isinstance(peer, tuple):
            return self.unix
        address = parse_address(str(peer[0]).partition("%")[0])  # a link-local one has its zone behind it
        return address is not None and self._holds(address)

    def find_client(self, chain: Sequence[str]) -> tuple[tuple[str, int] | None, int]:
        """The rightmost address of a chain that is not trusted itself, and how many elements stand to its right.

        Everything left of it could have been written by the client. Where an element is no address (`unknown`,
        obfuscated, or garbage) the client is hidden behind the one to its right, None if there is none: the count
        says where it stands. If all are trusted, the leftmost is the client.
        """
        found: tuple[str, int] | None = None
        looked_at = chain[-LONGEST_CHAIN:]
        for distance, text in enumerate(reversed(looked_at)):
            node = text.strip(" \t")
            if node == UNIX_NODE and (self.unix or self.everybody):
                continue
            told = parse_node(node)
            if told is None:
                return found, distance
            address, port = told
            found = to_text(address), port
            if not self.everybody and not self._holds(address):
                return found, distance
        return found, max(0, len(looked_at) - 1)

    def _holds(self, address: bytes) -> bool:
        size = len(address)
        for first, last in self.networks:  # noqa: SIM110 - any() needs a generator, which costs more than all this
            if size == len(first) and first <= address <= last:
                return True
        return False


def parse_trusted(text: str) -> Trusted:
    """The peers named in a setting: addresses, networks, `unix` or `*`, with commas; ValueError names a bad part."""
    networks: list[Network] = []
    unix = everybody = False
    for part in (piece.strip() for piece in text.split(",")):
        if part == "*":
            everybody = True
        elif part.lower() == "unix":
            unix = True
        elif part:
            try:
                network = ipaddress.ip_network(part, strict=False)
            except ValueError:
                raise ValueError(f"must be addresses, networks, unix or *, with commas, not {part!r}") from None
            first, last = network.network_address.packed, network.broadcast_address.packed
            if first.startswith(_MAPPED) and last.startswith(_MAPPED):  # peers are compared as IPv4, too
                first, last = first[12:], last[12:]
            networks.append((first, last))
    return Trusted(tuple(networks), unix, everybody)


def parse_address(text: str) -> bytes | None:
    """An address, an IPv4 one where it is written as IPv6; None if it is none."""
    try:
        address = inet_pton(AF_INET6 if ":" in text else AF_INET, text)
    except (OSError, ValueError):  # ValueError: a NUL in it
        return None
    return address[12:] if address.startswith(_MAPPED) else address


def to_text(address: bytes) -> str:
    """An address as accept() tells it."""
    return inet_ntop(AF_INET if len(address) == 4 else AF_INET6, address)


def parse_node(text: str) -> tuple[bytes, int] | None:
    """An address with or without a port, as proxies write it: 192.0.2.1:80, 2001:db8::1, [2001:db8::1]:80.

    The port is 0 if there is none, or an obfuscated one (RFC 7239 section 6.2). A zone is refused: it means nothing
    on this machine.
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
    address = parse_address(text)
    return None if address is None or number is None else (address, number)


def _parse_port(text: str) -> int | None:
    if not text or text.startswith("_"):
        return 0
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 5 and int(text) <= 65535 else None
