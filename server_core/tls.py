"""TLS from the settings: contexts, the certificate for each server name, what a connection tells its application.

The hook of ssl-context is the operator's code, like the application, so that only workers import it.

Certificates are read when a worker starts, so that a reload is what renews them: the new generation has the new ones,
the old one keeps its connections, and a pair that cannot be used keeps the old generation.
"""

from __future__ import annotations

import codecs
import importlib
import ssl
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final, cast

from server_core.certificate_groups import Group, groups, key_kind
from server_core.certificates import Expiry, authorities, decoded, expiries, first_certificate, names
from server_core.errors import UsageError, application_traceback
from server_core.settings import ServerSettings

VERSIONS: Final = {"1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}
REQUESTS: Final = {"none": ssl.CERT_NONE, "optional": ssl.CERT_OPTIONAL, "required": ssl.CERT_REQUIRED}

WIRE_VERSIONS: Final = {"TLSv1.2": 0x0303, "TLSv1.3": 0x0304}
"""As on the wire (RFC 8446 section 4.2.1), which is how the ASGI extension tells them."""

DEFAULT_CIPHERS: Final = "ECDHE+AESGCM:ECDHE+CHACHA20"
"""Of TLS 1.2 those with forward secrecy and authenticated encryption. Python's own choice has CBC ciphers besides, with
which LUCKY13 is a matter of careful code; Internet Explorer 11 before Windows 10 would need them."""

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


class TlsError(UsageError):
    """The operator's: `setting` names what cannot be used, the text says why."""

    def __init__(self, setting: str, what: str) -> None:
        super().__init__(f"{setting.replace('_', '-')}: {what}")
        self.setting = setting
        self.what = what


def problem(settings: ServerSettings) -> tuple[str, str] | None:
    """The setting that cannot be used and why, or None. Reads the files; only workers find out about the hook."""
    try:
        for context, path in zip(_contexts(settings), settings.ssl_certfile, strict=False):
            _decoded(context, _certificate(path))
    except TlsError as error:
        return error.setting, error.what
    return None


def load(settings: ServerSettings) -> Tls | None:
    """TLS as the settings want it, None for plain text; TlsError names what is wrong. Runs the ssl-context hook."""
    contexts = _contexts(settings)
    if not contexts:
        return None
    own = [_certificate(path) for path in settings.ssl_certfile]
    default: Group = (0,)
    by_name: dict[str, Group] = {}
    if len(own) > 1:
        shown = [frozenset(names(_decoded(*one))) for one in zip(contexts, own, strict=True)]
        default, by_name = groups(shown, [key_kind(certificate) for certificate in own])
    made = {group: _together(settings, contexts, group) for group in dict.fromkeys((default, *by_name.values()))}
    if settings.ssl_context:
        made = {group: _hooked(settings.ssl_context, context) for group, context in made.items()}
    certificates = {context: own[group[0]] for group, context in made.items() if own and len(group) == 1}
    return Tls(made[default], certificates, {name: made[group] for name, group in by_name.items()})


def _together(settings: ServerSettings, contexts: Sequence[ssl.SSLContext], group: Group) -> ssl.SSLContext:
    """The context of this group's first certificate, with the others in it."""
    if len(group) == 1:
        return contexts[group[0]]
    pairs = list(zip(settings.ssl_certfile, settings.ssl_keyfile or settings.ssl_certfile, strict=True))
    context = _context(settings, pairs[group[0]])  # the one that there is may be for a name that it has alone
    for number in group[1:]:
        _load_pair(context, *pairs[number], settings.ssl_keyfile_password)
    return context


def load_late_imports() -> None:
    """Have in memory what Python itself imports only when certificates are read (as of CPython 3.11)."""
    codecs.lookup("latin-1")
    ssl.cert_time_to_seconds("Jan  1 00:00:00 2000 GMT")  # by strptime(), which is in a module of its own


def ending(settings: ServerSettings, now: float) -> list[Expiry]:
    """The certificates that have expired at `now`, seconds since the epoch, or do soon.

    The server's own, those that signed them, and those that sign for clients.
    """
    found: list[Expiry] = []
    try:
        for context, path in zip(_contexts(settings), settings.ssl_certfile, strict=False):
            found += expiries("ssl_certfile", path, (_decoded(context, _certificate(path)),), now)
            found += expiries("ssl_certfile", path, authorities(path), now)
        if settings.ssl_ca_certs:
            found += expiries("ssl_ca_certs", settings.ssl_ca_certs, authorities(settings.ssl_ca_certs), now)
    except (TlsError, OSError):
        return found  # the files have changed since they were checked: whoever reads them next is told what is wrong
    return list(dict.fromkeys(found))  # one that is its own authority is found twice


def _contexts(settings: ServerSettings) -> list[ssl.SSLContext]:
    """One for each certificate, one without for the hook alone, none for plain text; before the hook."""
    certificates, keys = settings.ssl_certfile, settings.ssl_keyfile
    if keys and not certificates:
        raise TlsError("ssl_keyfile", "is given without ssl-certfile, and nothing would be encrypted")
    if certificates or settings.ssl_context:
        if keys and len(keys) != len(certificates):
            raise TlsError(
                "ssl_keyfile", f"must be given once for each ssl-certfile, {len(certificates)} times, or never"
            )
        pairs = list(zip(certificates, keys or certificates, strict=True))
        return [_context(settings, pair) for pair in pairs] or [_context(settings, None)]
    given = [name for name in ("ssl_ca_certs", "ssl_ciphers") if getattr(settings, name)]
    if given:
        raise TlsError(given[0], "is given without ssl-certfile, and nothing would be encrypted")
    if settings.ssl_cert_reqs != "none":
        raise TlsError("ssl_cert_reqs", "is given without ssl-certfile, and no client would be asked")
    return []


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


def _context(settings: ServerSettings, pair: tuple[str, str] | None) -> ssl.SSLContext:
    """A server's context with one certificate, or with none."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = VERSIONS[settings.ssl_min_version]
    # Renegotiation lets a client of TLS 1.2 make the server do the costly half of a handshake again and again.
    context.options |= ssl.OP_NO_RENEGOTIATION | ssl.OP_NO_COMPRESSION
    context.set_alpn_protocols(["http/1.1"])
    # For the next connection in place of this one; OpenSSL makes two. Each is 16 us of 270 that a handshake takes it
    # (3.0, ECDSA P-256), and a client that goes on with several connections has got one with each of them.
    context.num_tickets = 1
    try:
        context.set_ciphers(settings.ssl_ciphers or DEFAULT_CIPHERS)
    except ssl.SSLError as error:
        raise TlsError("ssl_ciphers", f"OpenSSL knows no cipher by {settings.ssl_ciphers!r}") from error
    if pair is not None:
        _load_pair(context, *pair, settings.ssl_keyfile_password)
    context.verify_mode = REQUESTS[settings.ssl_cert_reqs]
    if settings.ssl_ca_certs:
        _check_readable("ssl_ca_certs", settings.ssl_ca_certs)
        try:
            context.load_verify_locations(cafile=settings.ssl_ca_certs)
        except ssl.SSLError as error:
            raise TlsError("ssl_ca_certs", f"{settings.ssl_ca_certs} holds no certificates in PEM") from error
    elif context.verify_mode != ssl.CERT_NONE:
        raise TlsError("ssl_cert_reqs", f"{settings.ssl_cert_reqs} needs ssl-ca-certs: who may sign for clients")
    return context


def _load_pair(context: ssl.SSLContext, certificate: str, key: str, password: str) -> None:
    _check_readable("ssl_certfile", certificate)
    _check_readable("ssl_keyfile", key)
    try:
        # A password is always given: without one OpenSSL would ask the terminal for it.
        context.load_cert_chain(certificate, key, password=lambda: password)
    except ssl.SSLError as error:
        _certificate(certificate)
        if error.reason == "KEY_VALUES_MISMATCH":
            raise TlsError("ssl_keyfile", f"{key} is not the key of the certificate in {certificate}") from error
        text = Path(key).read_text(encoding="latin-1")
        if "PRIVATE KEY-----" not in text and key == certificate:
            wrong = f"{certificate} holds a certificate without its private key; give the key's file"
            raise TlsError("ssl_keyfile", wrong) from error
        if "PRIVATE KEY-----" not in text:
            raise TlsError("ssl_keyfile", f"{key} holds no private key in PEM") from error
        if "ENCRYPTED" in text:
            wrong = "is not the one" if password else "must be given"
            raise TlsError("ssl_keyfile_password", f"{wrong}: {key} is encrypted") from error
        raise TlsError("ssl_certfile", f"{certificate} with {key} cannot be used: {error.reason or error}") from error


def _check_readable(setting: str, path: str) -> None:
    try:
        with open(path, "rb"):
            pass
    except OSError as error:
        raise TlsError(setting, f"cannot read {path}: {error.strerror}") from error


def _certificate(path: str) -> str:
    found = first_certificate(path)
    if found is None:
        raise TlsError("ssl_certfile", f"{path} holds no certificate in PEM")
    return found


def _decoded(context: ssl.SSLContext, certificate: str) -> ssl._PeerCertRetDictType:
    try:
        return decoded(context, certificate)
    except ssl.SSLError as error:
        raise TlsError("ssl_certfile", f"a certificate cannot serve: {error.reason or error}") from error


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
