"""TLS contexts from the settings and the files that they name; what is wrong with these, and what soon will be.

No code of the operator is run here (termination.py runs the ssl-context hook), so that a master may use it.
"""

from __future__ import annotations

import codecs
import ssl
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final, NamedTuple

from server_core.errors import UsageError
from server_core.settings.declaration import ServerSettings
from server_core.tls.certificate_groups import Group, groups, key_kind
from server_core.tls.certificates import Expiry, authorities, decoded, expiries, first_certificate, names
from server_core.tls.files import ON_DISK, TlsFiles

VERSIONS: Final = {"1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}
REQUESTS: Final = {"none": ssl.CERT_NONE, "optional": ssl.CERT_OPTIONAL, "required": ssl.CERT_REQUIRED}
DEFAULT_CIPHERS: Final = "ECDHE+AESGCM:ECDHE+CHACHA20"
"""Of TLS 1.2 those with forward secrecy and authenticated encryption. Python's own choice has CBC ciphers besides, with
which LUCKY13 is a matter of careful code; Internet Explorer 11 before Windows 10 would need them."""


class TlsError(UsageError):
    """The operator's: `setting` names what cannot be used, the text says why."""

    def __init__(self, setting: str, what: str) -> None:
        super().__init__(f"{setting.replace('_', '-')}: {what}")
        self.setting = setting
        self.what = what


class Contexts(NamedTuple):
    """A context for each group of certificates that are served together, with all of them read, before the hook."""

    made: Mapping[Group, ssl.SSLContext]
    default: Group
    """For clients that ask for no name of ours."""
    by_name: Mapping[str, Group]
    own: Sequence[str]
    """The server's certificates in PEM."""


def problem(settings: ServerSettings, files: TlsFiles = ON_DISK) -> tuple[str, str] | None:
    """The setting that cannot be used and why, or None. Reads the files; only workers find out about the hook."""
    try:
        for context, path in zip(_each(settings, files), settings.ssl_certfile, strict=False):
            _decoded(context, _certificate(path, files))
    except TlsError as error:
        return error.setting, error.what
    return None


def contexts(settings: ServerSettings, files: TlsFiles = ON_DISK) -> Contexts | None:
    """What the files hold, each read; None for plain text. TlsError names what is wrong."""
    each = _each(settings, files)
    if not each:
        return None
    own = [_certificate(path, files) for path in settings.ssl_certfile]
    default: Group = (0,)
    by_name: dict[str, Group] = {}
    if len(own) > 1:
        shown = [frozenset(names(_decoded(*one))) for one in zip(each, own, strict=True)]
        default, by_name = groups(shown, [key_kind(certificate) for certificate in own])
    made = {group: _together(settings, files, each, group) for group in dict.fromkeys((default, *by_name.values()))}
    return Contexts(made, default, by_name, own)


def _together(
    settings: ServerSettings, files: TlsFiles, each: Sequence[ssl.SSLContext], group: Group
) -> ssl.SSLContext:
    """The context of this group's first certificate, with the others in it."""
    if len(group) == 1:
        return each[group[0]]
    pairs = list(zip(settings.ssl_certfile, settings.ssl_keyfile or settings.ssl_certfile, strict=True))
    context = _context(settings, files, pairs[group[0]])  # the one that there is may be for a name that it has alone
    for number in group[1:]:
        _load_pair(context, files, *pairs[number], settings.ssl_keyfile_password)
    return context


def load_late_imports() -> None:
    """Have in memory what Python itself imports only when certificates are read (as of CPython 3.11)."""
    codecs.lookup("latin-1")
    ssl.cert_time_to_seconds("Jan  1 00:00:00 2000 GMT")  # by strptime(), which is in a module of its own


def ending(settings: ServerSettings, now: float, files: TlsFiles = ON_DISK) -> list[Expiry]:
    """The certificates that have expired at `now`, seconds since the epoch, or do soon.

    The server's own, those that signed them, and those that sign for clients.
    """
    found: list[Expiry] = []
    try:
        for context, path in zip(_each(settings, files), settings.ssl_certfile, strict=False):
            found += expiries("ssl_certfile", path, (_decoded(context, _certificate(path, files)),), now)
            found += expiries("ssl_certfile", path, authorities(files.place(path)), now)
        if path := settings.ssl_ca_certs:
            found += expiries("ssl_ca_certs", path, authorities(files.place(path)), now)
    except (TlsError, OSError):
        return found  # the files have changed since they were checked: whatever reads them next says what is wrong
    return list(dict.fromkeys(found))  # one that is its own authority is found twice


def _each(settings: ServerSettings, files: TlsFiles) -> list[ssl.SSLContext]:
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
        return [_context(settings, files, pair) for pair in pairs] or [_context(settings, files, None)]
    given = [name for name in ("ssl_ca_certs", "ssl_ciphers") if getattr(settings, name)]
    if given:
        raise TlsError(given[0], "is given without ssl-certfile, and nothing would be encrypted")
    if settings.ssl_cert_reqs != "none":
        raise TlsError("ssl_cert_reqs", "is given without ssl-certfile, and no client would be asked")
    return []


def _context(settings: ServerSettings, files: TlsFiles, pair: tuple[str, str] | None) -> ssl.SSLContext:
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
        _load_pair(context, files, *pair, settings.ssl_keyfile_password)
    context.verify_mode = REQUESTS[settings.ssl_cert_reqs]
    if settings.ssl_ca_certs:
        _check_readable("ssl_ca_certs", settings.ssl_ca_certs, files)
        try:
            context.load_verify_locations(cafile=files.place(settings.ssl_ca_certs))
        except ssl.SSLError as error:
            raise TlsError("ssl_ca_certs", f"{settings.ssl_ca_certs} holds no certificates in PEM") from error
    elif context.verify_mode != ssl.CERT_NONE:
        raise TlsError("ssl_cert_reqs", f"{settings.ssl_cert_reqs} needs ssl-ca-certs: who may sign for clients")
    return context


def _load_pair(context: ssl.SSLContext, files: TlsFiles, certificate: str, key: str, password: str) -> None:
    _check_readable("ssl_certfile", certificate, files)
    _check_readable("ssl_keyfile", key, files)
    try:
        # A password is always given: without one OpenSSL would ask the terminal for it.
        context.load_cert_chain(files.place(certificate), files.place(key), password=lambda: password)
    except ssl.SSLError as error:
        _certificate(certificate, files)
        if error.reason == "KEY_VALUES_MISMATCH":
            raise TlsError("ssl_keyfile", f"{key} is not the key of the certificate in {certificate}") from error
        text = Path(files.place(key)).read_text(encoding="latin-1")
        if "PRIVATE KEY-----" not in text and key == certificate:
            wrong = f"{certificate} holds a certificate without its private key; give the key's file"
            raise TlsError("ssl_keyfile", wrong) from error
        if "PRIVATE KEY-----" not in text:
            raise TlsError("ssl_keyfile", f"{key} holds no private key in PEM") from error
        if "ENCRYPTED" in text:
            wrong = "is not the one" if password else "must be given"
            raise TlsError("ssl_keyfile_password", f"{wrong}: {key} is encrypted") from error
        raise TlsError("ssl_certfile", f"{certificate} with {key} cannot be used: {error.reason or error}") from error


def _check_readable(setting: str, path: str, files: TlsFiles) -> None:
    try:
        with open(files.place(path), "rb"):
            pass
    except OSError as error:
        raise TlsError(setting, f"cannot read {path}: {error.strerror}") from error


def _certificate(path: str, files: TlsFiles) -> str:
    found = first_certificate(files.place(path))
    if found is None:
        raise TlsError("ssl_certfile", f"{path} holds no certificate in PEM")
    return found


def _decoded(context: ssl.SSLContext, certificate: str) -> ssl._PeerCertRetDictType:
    try:
        return decoded(context, certificate)
    except ssl.SSLError as error:
        raise TlsError("ssl_certfile", f"a certificate cannot serve: {error.reason or error}") from error
