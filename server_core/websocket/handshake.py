"""The opening handshake (RFC 6455 section 4.2): is this request one, may it be accepted, and the answer. Pure.

A request that offers an upgrade which is no WebSocket handshake (h2c, another method, HTTP/1.0, a body) is no error:
the offer is ignored and the request served as what it is. One that is a handshake, and a broken one, is refused.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, cast

from server_core.asgi.response_states import ResponseError
from server_core.http.grammar import TOKEN
from server_core.http.message import Fields, Head, RequestRejected
from server_core.http1.response_fields import learn_line
from server_core.http1.response_head import Defaults

VERSION: Final = b"13"
_GUID: Final = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # RFC 6455 section 1.3
_TOKEN: Final = re.compile(TOKEN)

NEWER_VERSION: Final[Fields] = [(b"upgrade", b"websocket"), (b"sec-websocket-version", VERSION)]
"""RFC 6455 4.2.2: 426 and "a |Sec-WebSocket-Version| header field indicating the version(s) the server is capable of
understanding"; RFC 9110 15.5.22: a 426 MUST name the protocol in Upgrade."""

OURS: Final = frozenset(
    (
        b"connection",
        b"content-length",
        b"sec-websocket-accept",
        b"sec-websocket-extensions",
        b"sec-websocket-protocol",
        b"sec-websocket-version",
        b"transfer-encoding",
        b"upgrade",
    )
)
"""Fields of an acceptance that say what was negotiated or how the answer is framed: not the application's to set."""


@dataclass(slots=True)
class Offer:
    """What a client's handshake asks for."""

    accept: bytes
    """The value of Sec-WebSocket-Accept that proves that the key was read."""
    subprotocols: list[str]
    extensions: list[bytes]
    """The values of Sec-WebSocket-Extensions, as they came."""


def read_offer(head: Head) -> Offer | None:
    """The handshake in a request, None if it is none; RequestRejected if it is a broken one."""
    line = head.line
    if line.method != "GET" or line.version != "1.1" or head.rules.length != 0:
        return None
    fields = head.fields
    if b"websocket" not in _tokens(head.rules.upgrade.lower()):
        return None
    if b"upgrade" not in _tokens(b",".join(value.lower() for name, value in fields if name == b"connection")):
        return None
    versions = [value for name, value in fields if name == b"sec-websocket-version"]
    if versions != [VERSION]:
        raise RequestRejected(426, "only version 13 of WebSocket is served", NEWER_VERSION)
    subprotocols = _tokens(b",".join(value for name, value in fields if name == b"sec-websocket-protocol"))
    if not all(_TOKEN.fullmatch(subprotocol) for subprotocol in subprotocols):
        raise RequestRejected(400, "malformed Sec-WebSocket-Protocol")
    return Offer(
        accept_of(_key(fields)),
        [subprotocol.decode("ascii") for subprotocol in subprotocols],
        [value for name, value in fields if name == b"sec-websocket-extensions"],
    )


def _key(fields: Fields) -> bytes:
    keys = [value for name, value in fields if name == b"sec-websocket-key"]
    if len(keys) == 1:
        try:
            # RFC 6455 4.1: "a nonce consisting of a randomly selected 16-byte value that has been base64-encoded"
            if len(base64.b64decode(keys[0], validate=True)) == 16:
                return keys[0]
        except binascii.Error:  # refused below, with the other ways to be wrong
            pass
    raise RequestRejected(400, "malformed Sec-WebSocket-Key")


def accept_of(key: bytes) -> bytes:
    """The proof for a key (RFC 6455 section 4.2.2, item 5.4)."""
    return base64.b64encode(hashlib.sha1(key + _GUID, usedforsecurity=False).digest())


def acceptance(
    offer: Offer, subprotocol: object, extension: bytes | None, fields: Iterable[object], defaults: Defaults
) -> bytes:
    """The 101 that accepts; ResponseError if the application chose what cannot be."""
    lines = [
        b"HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: upgrade\r\nsec-websocket-accept: ",
        offer.accept,
        b"\r\n",
    ]
    if subprotocol not in (None, ""):  # an empty one, which no client can offer, is how some say none
        if subprotocol not in offer.subprotocols:
            offered = ", ".join(offer.subprotocols) or "none"
            raise ResponseError(f"subprotocol: must be one that the client offered ({offered}), not {subprotocol!r}")
        lines.append(f"sec-websocket-protocol: {subprotocol}\r\n".encode("ascii"))
    if extension is not None:
        lines.append(b"sec-websocket-extensions: %b\r\n" % extension)
    if not isinstance(fields, Iterable):
        raise ResponseError(f"headers: must be pairs of bytes, not {type(fields).__name__}")
    names = set()
    for pair in fields:
        learn_line(pair)
        name, value = cast("tuple[bytes, bytes]", pair)  # or learn_line() had raised
        if name.lower() in OURS:
            raise ResponseError(f"headers: {name!r} is the server's own in an acceptance")
        names.add(name.lower())
        lines.append(b"%b: %b\r\n" % (name, value))
    lines.append(defaults.without(names))
    return b"".join(lines)


def _tokens(text: bytes) -> list[bytes]:
    """The elements of a comma-separated list; empty ones are none (RFC 9110 section 5.6.1.2)."""
    return [token for part in text.split(b",") if (token := part.strip(b" \t"))]
