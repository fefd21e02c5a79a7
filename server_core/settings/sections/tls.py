"""Certificates, and what is asked of clients; nothing: no TLS."""

from __future__ import annotations

from server_core.records import dataclass
from server_core.settings.option import PATH, TEXT, choice, option
from server_core.settings.value_types import CALLABLE


@dataclass(frozen=True, kw_only=True)
class TlsSettings:
    """A part of ServerSettings."""

    __slots__ = ()

    ssl_certfile: tuple[str, ...] = option(
        (),
        kind=PATH,
        section="tls",
        repeatable=True,
        help="Certificate with its chain, in PEM; every listener then speaks TLS. Given again: for other names (SNI).",
    )
    ssl_keyfile: tuple[str, ...] = option(
        (),
        kind=PATH,
        section="tls",
        repeatable=True,
        help="Private key in PEM, once for each ssl-certfile in the same order; never, if those hold their keys.",
    )
    ssl_keyfile_password: str = option(
        "",
        kind=TEXT,
        section="tls",
        secret=True,
        help="Password of the private keys, if they are encrypted; not as a flag, since every user may read those.",
    )
    ssl_ca_certs: str = option(
        "", kind=PATH, section="tls", help="Certificates in PEM of those who may sign for clients."
    )
    ssl_cert_reqs: str = option(
        "none",
        kind=choice("none", "optional", "required"),
        section="tls",
        help="Whether clients are asked for a certificate; one that does not verify is never accepted.",
    )
    ssl_ciphers: str = option(
        "", kind=TEXT, section="tls", help="Ciphers up to TLS 1.2, as OpenSSL lists them; those with AEAD."
    )
    ssl_min_version: str = option(
        "1.2", kind=choice("1.2", "1.3"), section="tls", help="Oldest version of TLS that is spoken."
    )
    ssl_context: str = option(
        "", kind=CALLABLE, section="tls", help="module:callable that workers call with each SSLContext."
    )
