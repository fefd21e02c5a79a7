"""Which of a server's certificates are served together: two for one name with keys of different kinds; pure.

OpenSSL holds one certificate for each kind of key in a context, and takes the one that a client can verify: ECDSA,
which costs a handshake least, and RSA for a client that knows nothing else. Names are looked at one by one. A name
that only one of two certificates has is served by that one alone: the other would not be valid there.
"""

from __future__ import annotations

import ssl
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import Final

Group = tuple[int, ...]
"""Numbers of certificates, in the order that they were given in."""

KINDS: Final[Mapping[str, bytes]] = {
    "ecdsa": bytes.fromhex("06072a8648ce3d0201"),
    "rsa": bytes.fromhex("06092a864886f70d010101"),
}
"""The OBJECT IDENTIFIER of a public key (RFC 5480 section 2.1.1, RFC 3279 section 2.3.1). None of them is that of a
signature, so that it stands in a certificate where its key is. (The ssl module tells no key's kind.)"""


def key_kind(certificate: str) -> str:
    """rsa, ecdsa or other, of a certificate in PEM."""
    der = ssl.PEM_cert_to_DER_cert(certificate)
    return next((kind for kind, identifier in KINDS.items() if identifier in der), "other")


def groups(names: Sequence[AbstractSet[str]], kinds: Sequence[str]) -> tuple[Group, dict[str, Group]]:
    """The group for clients that ask for no name of ours, and the group for each name.

    Of two certificates for a name with keys of one kind the first is served.
    """
    every = range(len(names))
    default = _of_different_kinds((0, *(n for n in every if n and _covers(names[n], names[0]))), kinds)
    by_name = {name: _of_different_kinds([n for n in every if name in names[n]], kinds) for name in set().union(*names)}
    return default, by_name


def _covers(other: AbstractSet[str], first: AbstractSet[str]) -> bool:
    return other >= first if first else not other


def _of_different_kinds(numbers: Sequence[int], kinds: Sequence[str]) -> Group:
    first: dict[str, int] = {}
    for number in numbers:
        first.setdefault(kinds[number], number)
    return tuple(first.values())
