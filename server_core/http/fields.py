"""What fields mean in every version of HTTP: a host, and how much of what was checked is remembered. Pure."""

from __future__ import annotations

import re
from ipaddress import AddressValueError, IPv6Address
from typing import Final

from server_core.http.message import Fields

_FUTURE: Final = rb"[vV][0-9A-Fa-f]+\.[A-Za-z0-9\-._~!$&'()*+,;=:]+"
_HOST: Final = re.compile(
    rb"(?:\[(?:([0-9A-Fa-f:.]+)|%b)\]|(?:[A-Za-z0-9\-._~!$&'()*+,;=]|%%[0-9A-Fa-f]{2})+)(?::([0-9]{0,255}))?" % _FUTURE
)
"""RFC 3986 section 3.2.2; its port is any number of digits. Of more than 255 int() would have to make a number: it
refuses more than 4,300, and costs their square below that."""

REMEMBERED: Final = 1024
"""Request lines, hosts and names kept; then all are forgotten. Chosen; no evidence: the whole costs under 1 MB."""
REMEMBERED_BYTES: Final = 256
"""Longest line that is remembered, so that long query strings do not fill memory."""


def is_host(value: bytes) -> bool:
    """Whether this is a host with or without a port (RFC 3986 sections 3.2.2 and 3.2.3).

    A port without a host, one above 65535 and brackets around no address are none: frameworks fail on them.
    """
    parts = _HOST.fullmatch(value)
    if parts is None:
        return False
    if parts[1] is not None:
        try:
            IPv6Address(parts[1].decode("ascii"))
        except AddressValueError:
            return False
    return int(parts[2] or 0) <= 65535


def overrule_host(authority: bytes, fields: Fields) -> Fields:
    """The fields with the target's authority for Host, which it replaces (RFC 9112 section 3.2.2)."""
    return [(b"host", authority), *(field for field in fields if field[0] != b"host")]


_STATUS_TEXT: Final = re.compile(rb"[2-9][0-9]{2} [^\x00-\x08\x0a-\x1f\x7f]*")


class StatusText(bytes):
    """A final status with its reason phrase, checked: what WSGI's applications choose themselves."""

    __slots__ = ()

    @classmethod
    def of(cls, status: str) -> StatusText:
        """ValueError unless it is three digits, a space and a phrase in Latin-1 (RFC 9112 section 4)."""
        try:
            text = cls((status if len(status) != 3 else status + " ").encode("latin-1"))
        except UnicodeEncodeError:
            text = cls()
        if _STATUS_TEXT.fullmatch(text) is None:
            raise ValueError(f"status: must be such as '200 OK', a final status and its phrase, not {status!a}")
        return text
