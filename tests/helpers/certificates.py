"""Throw-away certificates: one authority, what it signs, and the clients that believe it."""

from __future__ import annotations

import atexit
import functools
import ssl
import tempfile
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import trustme


@dataclass(frozen=True)
class Pair:
    """A certificate with its key, as files."""

    certificate: str
    key: str
    both: str
    """One file that holds both."""


class Authority:
    """Signs certificates into a directory."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._authority = trustme.CA()
        self._issued = 0
        self.certificate = str(directory / "authority.pem")
        self._authority.cert_pem.write_to_path(self.certificate)

    def pair(self, *names: str, not_after: datetime | None = None, rsa: bool = False, **subject: str) -> Pair:
        """A pair for these host names, or for a client."""
        self._issued += 1
        kind = trustme.KeyType.RSA if rsa else trustme.KeyType.ECDSA
        leaf = self._authority.issue_cert(*names, not_after=not_after, key_type=kind, **subject)
        stem = self.directory / f"leaf{self._issued}"
        pair = Pair(f"{stem}.crt", f"{stem}.key", f"{stem}.pem")
        Path(pair.certificate).write_bytes(b"".join(blob.bytes() for blob in leaf.cert_chain_pems))
        leaf.private_key_pem.write_to_path(pair.key)
        leaf.private_key_and_cert_chain_pem.write_to_path(pair.both)
        return pair

    def client(self, pair: Pair | None = None) -> ssl.SSLContext:
        """A client that believes this authority, and shows a certificate if it has one."""
        context = ssl.create_default_context(cafile=self.certificate)
        if pair is not None:
            context.load_cert_chain(pair.both)
        return context


@functools.cache
def authority() -> Authority:
    """One for all the tests of a run: its keys take a moment to make."""
    directory = tempfile.TemporaryDirectory(prefix="certificates-")
    atexit.register(directory.cleanup)
    return Authority(Path(directory.name))


@functools.cache
def localhost() -> Pair:
    """The pair of the server that the tests connect to."""
    return authority().pair("localhost", "127.0.0.1")
