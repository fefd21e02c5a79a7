"""TLS as connections have it: the certificate for each server name, and what a connection tells its application.

The hook of ssl-context is the operator's code, like the application, so that only workers import it.

Certificates are read once for a generation of workers, so that a reload is what renews them: the new generation has the
new ones, the old one keeps its connections, and a pair that cannot be used keeps the old generation. A worker that
replaces one that crashed has what its generation has, whatever is on the disk by then (files.py).
"""

from __future__ import annotations

import importlib
import ssl
from collections.abc import Callable
from typing import Final, cast

from server_core.errors import application_traceback
from server_core.settings.declaration import ServerSettings
from server_core.tls.context import Contexts, TlsError, contexts

WIRE_VERSIONS: Final = {"TLSv1.2": 0x0303, "TLSv1.3": 0x0304}
"""As on the wire (RFC 8446 section 4.2.1), which is how the ASGI extension tells them."""
_ATTRIBUTES: Final = {
    "commonName": "CN",
    "localityName": "L",
    "stateOrProvinceName": "ST",
    "organizationName": "O",
    "organizationalUnitName": "OU",
    "countryName": "C",
    "streetAddress": "STREET",
    "domainComponent": "DC",
    "userId": "UID",
}
"""Attribute names as OpenSSL has them, and as RFC 4514 section 3 writes them."""


def load(settings: ServerSettings, read: Contexts | None = None) -> Tls | None:
    """TLS as the settings want it, None for plain text; TlsError names what is wrong. Runs the ssl-context hook.

    `read` is what the files hold; None: they are read now, where the settings name them.
    """
    read = read or contexts(settings)
    if read is None:
        return None
    made = dict(read.made)
    if settings.ssl_context:
        made = {group: _hooked(settings.ssl_context, context) for group, context in made.items()}
    certificates = {context: read.own[group[0]] for group, context in made.items() if read.own and len(group) == 1}
    return Tls(made[read.default], certificates, {name: made[group] for name, group in read.by_name.items()})


def _hooked(name: str, context: ssl.SSLContext) -> ssl.SSLContext:
    """What the operator's callable makes of a context; TlsError if it is not there, raises, or makes no context."""
    module, _, attribute = name.partition(":")
    try:
        hook: object = importlib.import_module(module)
        for part in attribute.split("."):
            hook = getattr(hook, part)
        made = cast("Callable[[ssl.SSLContext], object]", hook)(context)
    except BaseException as error:  # SystemExit, too: as with the application, code of others is run
        raise TlsError("ssl_context", f"{name} raised\n{application_traceback(error)}") from error
    if not isinstance(made, ssl.SSLContext):
        raise TlsError("ssl_context", f"{name} must return an ssl.SSLContext, not {type(made).__name__}")
    return made


class Tls:
    """The contexts of a server: the first certificate is for every name that no other one has."""

    def __init__(
        self,
        context: ssl.SSLContext,
        certificates: dict[ssl.SSLContext, str],
        by_name: dict[str, ssl.SSLContext],
    ) -> None:
        self.context = context
        """What connections are accepted with."""
        self._certificates = certificates
        self._by_name = by_name
        # OpenSSL's id is its own in the upper half and IANA's in the lower
        self._ciphers = {cipher["name"]: cipher["id"] & 0xFFFF for cipher in self.context.get_ciphers()}
        if by_name and context.sni_callback is None:  # else the hook chooses
            context.sni_callback = self._choose

    def _choose(self, connection: ssl.SSLObject | ssl.SSLSocket, name: str | None, _context: ssl.SSLContext) -> None:
        """Use the certificate that has this name, else one for all of its siblings (RFC 6125 section 6.4.3)."""
        if name is not None:
            lowered = name.lower()
            found = self._by_name.get(lowered) or self._by_name.get("*." + lowered.partition(".")[2])
            if found is not None:
                connection.context = found

    def describe(self, connection: ssl.SSLObject) -> dict[str, object]:
        """The ASGI extension `tls` for one connection."""
        cipher = connection.cipher()
        subject = (connection.getpeercert() or {}).get("subject")
        return {
            "server_cert": self._certificates.get(connection.context),
            "client_cert_chain": _client_chain(connection),
            "client_cert_name": _rfc4514(subject) if subject else None,
            "client_cert_error": None,  # a client whose certificate does not verify never comes as far as this
            "tls_version": WIRE_VERSIONS.get(connection.version() or ""),
            "cipher_suite": self._ciphers.get(cipher[0]) if cipher else None,
        }


def _client_chain(connection: ssl.SSLObject) -> list[str]:
    """What the client has shown, its own certificate first. Before Python 3.13 the rest of it cannot be had."""
    own = connection.getpeercert(binary_form=True)
    if own is None:
        return []  # and get_unverified_chain() of 3.13.0 would raise
    unverified = getattr(connection, "get_unverified_chain", None)
    chain = unverified() if unverified is not None else (own,)
    return [ssl.DER_cert_to_PEM_cert(der) for der in chain]


def _rfc4514(subject: object) -> str:
    """A distinguished name as text: the last part first (RFC 4514 section 2.1)."""
    parts = []
    for relative in reversed(subject):  # type: ignore[call-overload]  # ssl's form: a tuple of tuples of pairs
        pairs = (f"{_ATTRIBUTES.get(name, name)}={_escaped(value)}" for name, value in relative)
        parts.append("+".join(pairs))
    return ",".join(parts)


def _escaped(value: str) -> str:
    """RFC 4514 section 2.4."""
    text = "".join("\\" + character if character in '"+,;<>\\' else character for character in value)
    text = text.replace("\0", "\\00")
    if text.startswith((" ", "#")):
        text = "\\" + text
    return text[:-1] + "\\ " if text.endswith(" ") and len(text) > 1 else text
