"""The PROXY protocol, versions 1 and 2: from a connection's first bytes to its endpoints. No I/O, no asyncio.

Source: The PROXY protocol, Willy Tarreau, haproxy.org/download/2.9/doc/proxy-protocol.txt, by section. Its rule for all
doubts (2.1): "Any sequence which does not exactly match the protocol must be discarded and cause the receiver to abort
the connection".
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping
from socket import AF_INET, AF_INET6, inet_ntop
from typing import Final, NamedTuple

V1_START: Final = b"PROXY "
V1_LONGEST: Final = 107
"""Section 2.1, CRLF included: "a 108-byte buffer is always enough to store all the line and a trailing zero"."""

V2_SIGNATURE: Final = b"\r\n\r\n\x00\r\nQUIT\n"
V2_FIXED: Final = 16

LONGEST: Final = 4096
"""Bytes of the longest header, its TLVs included. Precedent: nginx since 1.23.2."""

_PORT: Final = re.compile(rb"0|[1-9][0-9]{0,4}")  # 2.1: "Heading zeroes are not permitted"
_FAMILIES: Final[Mapping[bytes, tuple[int, type[ipaddress.IPv4Address | ipaddress.IPv6Address]]]] = {
    b"TCP4": (AF_INET, ipaddress.IPv4Address),
    b"TCP6": (AF_INET6, ipaddress.IPv6Address),
}
"""Which addresses are read; inet_ntop() writes them, as accept() does: from CPython 3.13 on ipaddress writes others."""

_LOCAL, _PROXY = range(2)
_UNSPECIFIED, _INET, _INET6, _UNIX = range(4)
_DGRAM = 2
"""Section 2.2: the commands, the families, and the last of the transports."""

_SIZES: Final = {_INET: 4, _INET6: 16, _UNIX: 108}
"""Bytes of one address."""

Endpoint = tuple[str, int] | str
"""As accept() and getsockname() tell it: address and port, or the path of a Unix socket, which may be empty."""


class NotProxied(Exception):
    """The bytes are no header: whoever sent them is no proxy that was told to send one."""


class Header(NamedTuple):
    """A header, and its length in bytes. Without endpoints those of the connection itself hold."""

    length: int
    client: Endpoint | None = None
    server: Endpoint | None = None


def read_header(data: bytes) -> Header | None:
    """The header that a connection begins with; None as long as it may become one; NotProxied if it can not."""
    if data.startswith(V2_SIGNATURE):
        return _read_v2(data)
    if data.startswith(V1_START):
        return _read_v1(data)
    if V2_SIGNATURE.startswith(data) or V1_START.startswith(data):
        return None
    raise NotProxied("no PROXY header")


def _read_v1(data: bytes) -> Header | None:
    end = data.find(b"\r\n", 0, V1_LONGEST)
    if end < 0:
        if len(data) >= V1_LONGEST:
            raise NotProxied("a PROXY header of version 1 that does not end")
        return None
    words = data[len(V1_START) : end].split(b" ")
    if words[0] == b"UNKNOWN":  # "the receiver must ignore anything presented before the CRLF is found"
        return Header(end + 2)
    if words[0] not in _FAMILIES or len(words) != 5 or not all(_PORT.fullmatch(port) for port in words[3:]):
        raise NotProxied("a malformed PROXY header of version 1")
    kind, family = _FAMILIES[words[0]]
    try:
        client, server = (inet_ntop(kind, family(word.decode("ascii")).packed) for word in words[1:3])
    except ValueError:
        raise NotProxied("a malformed PROXY header of version 1") from None
    ports = [int(port) for port in words[3:]]
    if max(ports) > 65535 or b"%" in data[:end]:  # a zone is none of a header's
        raise NotProxied("a malformed PROXY header of version 1")
    return Header(end + 2, (client, ports[0]), (server, ports[1]))


def _read_v2(data: bytes) -> Header | None:
    if len(data) < V2_FIXED:
        return None
    version, command = data[12] >> 4, data[12] & 15
    family, transport = data[13] >> 4, data[13] & 15
    # Section 2.2 of the command: "Receivers must drop connections presenting unexpected values here". Of the family and
    # the transport it says that others "must be rejected as invalid", but of LOCAL that the family "is ignored".
    if version != 2 or command > _PROXY or (command == _PROXY and (family > _UNIX or transport > _DGRAM)):
        raise NotProxied("a malformed PROXY header of version 2")
    length = int.from_bytes(data[14:V2_FIXED], "big")
    size = V2_FIXED + length
    if size > LONGEST:
        raise NotProxied(f"a PROXY header of {size} bytes, of at most {LONGEST}")
    if len(data) < size:
        return None
    if command == _LOCAL or family == _UNSPECIFIED or transport == _UNSPECIFIED:
        return Header(size)
    width = _SIZES[family]
    first, second, ports = data[16 : 16 + width], data[16 + width : 16 + 2 * width], data[16 + 2 * width : size]
    if family == _UNIX:
        if length < 2 * width:
            raise NotProxied("a malformed PROXY header of version 2")
        return Header(size, _path(first), _path(second))
    if len(ports) < 4:
        raise NotProxied("a malformed PROXY header of version 2")
    kind = AF_INET if family == _INET else AF_INET6
    client, server = inet_ntop(kind, first), inet_ntop(kind, second)
    # What follows are TLVs, which are skipped: their length has been checked with the whole
    return Header(size, (client, int.from_bytes(ports[:2], "big")), (server, int.from_bytes(ports[2:4], "big")))


def _path(name: bytes) -> str:
    """The path of a Unix socket; nothing for one without a name or with an abstract one."""
    return name.partition(b"\x00")[0].decode("utf-8", "backslashreplace")
