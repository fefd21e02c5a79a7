"""What stands in certificates: the names they are for, and when they expire. Reads files; opens no connection.

The ssl module decodes only what a peer has shown and what a context trusts as an authority. So a server's own
certificate is shown to a client in memory that takes it as it stands, and its chain is read as a list of authorities.
"""

from __future__ import annotations

import ssl
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final, NamedTuple, cast

SOON_DAYS: Final = 14
"""How many days before its end a certificate is told of. Precedent: certbot renews at 30 days, so that at 14 it has
failed for two weeks."""

NO_CHECK_TIME: Final = ssl.VerifyFlags(0x200000)
"""X509_V_FLAG_NO_CHECK_TIME of openssl/x509_vfy.h, which the ssl module does not name."""

DAY_S: Final = 86400.0

BEGIN, END = "-----BEGIN CERTIFICATE-----", "-----END CERTIFICATE-----"


class Expiry(NamedTuple):
    """A certificate that has expired, or does so soon."""

    setting: str
    path: str
    subject: str
    not_after: str
    days: int
    """Whole days left; negative when it has expired."""

    @property
    def event(self) -> str:
        """What the log calls it."""
        return "tls.certificate_expired" if self.days < 0 else "tls.certificate_expiring"

    @property
    def facts(self) -> dict[str, object]:
        """What the log tells of it."""
        return {**self._asdict(), "setting": self.setting.replace("_", "-")}

    def __str__(self) -> str:
        when = f"expired {-self.days} days ago" if self.days < 0 else f"expires in {self.days} days"
        return f"{self.subject} in {self.path} {when} ({self.not_after})"


def first_certificate(path: str) -> str | None:
    """The first certificate in a file, in PEM, None if there is none; what follows it is its chain."""
    text = Path(path).read_text(encoding="latin-1")
    begin, end = text.find(BEGIN), text.find(END)
    return None if begin < 0 or end < begin else text[begin : end + len(END)] + "\n"


def names(shown: ssl._PeerCertRetDictType) -> list[str]:
    """The host names that a certificate is for."""
    alternatives = cast("tuple[tuple[str, str], ...]", shown.get("subjectAltName", ()))
    return [value.lower() for kind, value in alternatives if kind == "DNS"]


def decoded(server: ssl.SSLContext, certificate: str) -> ssl._PeerCertRetDictType:
    """What stands in the server's certificate, whoever signed it; SSLError if it cannot serve."""
    client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    client.check_hostname = False
    client.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN | NO_CHECK_TIME
    client.load_verify_locations(cadata=certificate)
    client.set_ciphers("ALL:@SECLEVEL=0")  # what our own clients may use is not to be judged here
    mode, server.verify_mode = server.verify_mode, ssl.CERT_NONE
    try:
        return _shake_hands(client, server)
    finally:
        server.verify_mode = mode


def _shake_hands(client: ssl.SSLContext, server: ssl.SSLContext) -> ssl._PeerCertRetDictType:
    """What a client in memory is shown."""
    there, back = ssl.MemoryBIO(), ssl.MemoryBIO()
    ours = server.wrap_bio(there, back, server_side=True)
    theirs = client.wrap_bio(back, there)
    waiting = {theirs, ours}
    while theirs in waiting:
        for end in (theirs, ours):
            try:
                end.do_handshake()
                waiting.discard(end)
            except ssl.SSLWantReadError:  # the other end's turn
                continue
    return theirs.getpeercert() or {}


def authorities(path: str) -> Iterable[ssl._PeerCertRetDictType]:
    """The certificates in a file that may sign others."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_verify_locations(cafile=path)
    return context.get_ca_certs()


def expiries(setting: str, path: str, certificates: Iterable[ssl._PeerCertRetDictType], now: float) -> Iterator[Expiry]:
    """Those that have expired at `now`, in seconds since the epoch, or do within SOON_DAYS."""
    for certificate in certificates:
        not_after = str(certificate["notAfter"])
        days = (ssl.cert_time_to_seconds(not_after) - now) // DAY_S
        if days < SOON_DAYS:
            yield Expiry(setting, path, _subject(certificate), not_after, int(days))


def _subject(certificate: ssl._PeerCertRetDictType) -> str:
    """Its common name, or whatever name it has."""
    parts = cast("tuple[tuple[tuple[str, str], ...], ...]", certificate.get("subject", ()))
    pairs = [pair for part in parts for pair in part]
    return dict(pairs).get("commonName") or ", ".join(value for _, value in pairs) or ", ".join(names(certificate))
