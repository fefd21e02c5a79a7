"""Who asks, and for what, as a trusted proxy tells it: from forwarding fields to an ASGI scope. No I/O.

Which fields are believed is the operator's word (`forwarded-headers`), because only a field that the proxy sets itself
is worth anything: nginx, for one, hands on a client's Forwarded and X-Forwarded-Host as they came unless it is told
otherwise. For the same reason the two families exclude each other: there is no order in which both could be right.

One rule for both: of the chain of addresses the rightmost that is not trusted is the client, and what the same proxy
said about the scheme, the host and the port goes with it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

from server_core.http.fields import REMEMBERED, is_host, overrule_host
from server_core.http.message import Fields, Head, RequestRejected
from server_core.proxy.forwarded_header import parse_forwarded
from server_core.proxy.request_id import RequestIds
from server_core.proxy.trusted_peers import LONGEST_CHAIN, parse_trusted
from server_core.settings.declaration import ServerSettings

FOR, PROTO, HOST, PORT = b"x-forwarded-for", b"x-forwarded-proto", b"x-forwarded-host", b"x-forwarded-port"

SCHEMES: Final = {"http": "http", "https": "https", "ws": "http", "wss": "https"}
"""Some proxies tell a WebSocket's scheme so; the session makes ws of http by itself."""

DEFAULT_PORTS: Final = {"http": 80, "https": 443}

REMEMBERED_BYTES: Final = 512
"""Bytes of the longest fields that are remembered: 1024 of them are about 1 MB. Chosen; no evidence."""


def names_to_know(settings: ServerSettings) -> frozenset[bytes]:
    """The names, in lower case, of all fields that trusted peers may be believed in."""
    believed = settings.forwarded_headers.split(",") if settings.forwarded_headers != "off" else []
    identifying = [settings.request_id.lower()] if settings.request_id != "off" else []
    return frozenset(name.encode("ascii") for name in believed + identifying)


class Told(NamedTuple):
    """What a request's forwarding fields come to; None is what they do not say, or not soundly."""

    client: tuple[str, int] | None
    scheme: str | None
    host: bytes | None
    port: int | None


class ForwardedHeaders:
    """Amends scopes by what trusted peers tell; one for all connections of a server.

    What was made of a set of fields is remembered, within bounds: a client that keeps its connection to the proxy says
    the same in each request, and reading addresses costs more than all the rest.
    """

    def __init__(self, settings: ServerSettings) -> None:
        self.trusted = parse_trusted(settings.forwarded_allow_ips)
        self.request_ids = RequestIds(settings.request_id) if settings.request_id != "off" else None
        self._reads_forwarded = settings.forwarded_headers == "forwarded"
        self._seen: dict[tuple[tuple[bytes, bytes], ...], Told] = {}

    def amend(self, scope: dict[str, object], head: Head) -> None:
        """Put what the peer tells into the scope of its request; RequestRejected if that can not be read."""
        fields = tuple(head.forwarded)
        told = self._seen.get(fields)
        if told is None:
            try:
                told = self._learn(fields)
            except RequestRejected as refused:
                refused.head = head
                raise
        if told.client is not None:
            scope["client"] = told.client
        if told.scheme is not None:
            scope["scheme"] = told.scheme
        if told.host is not None or told.port is not None:
            _rename(scope, head.fields, told)

    def client(self, head: Head) -> tuple[str, int] | None:
        """Who asks, as a trusted peer tells of a request that is refused; None if it does not, or not soundly."""
        try:
            return self._learn(tuple(head.forwarded)).client
        except RequestRejected:
            return None

    def _learn(self, fields: tuple[tuple[bytes, bytes], ...]) -> Told:
        told = self._read_forwarded(fields) if self._reads_forwarded else self._read_x_forwarded(fields)
        if sum(len(value) for _, value in fields) <= REMEMBERED_BYTES:
            if len(self._seen) >= REMEMBERED:
                self._seen.clear()
            self._seen[fields] = told
        return told

    def _read_forwarded(self, fields: Sequence[tuple[bytes, bytes]]) -> Told:
        # RFC 9110 5.3: field lines of one name are one list, in their order
        elements = parse_forwarded(b", ".join([value for _, value in fields]).decode("latin-1"))[-LONGEST_CHAIN:]
        if not elements:
            return Told(None, None, None, None)
        client, distance = self.trusted.find_client([element.node for element in elements])
        element = elements[-1 - distance]
        return Told(client, SCHEMES.get(element.proto.lower()), _sound_host(element.host), None)

    def _read_x_forwarded(self, fields: Sequence[tuple[bytes, bytes]]) -> Told:
        lists: dict[bytes, str] = {}
        for name, value in fields:
            text = value.decode("latin-1")
            lists[name] = f"{lists[name]},{text}" if name in lists else text
        client, distance = self.trusted.find_client(lists[FOR].split(",") if FOR in lists else ())
        port = _element(lists.get(PORT, ""), distance)
        return Told(
            client,
            SCHEMES.get(_element(lists.get(PROTO, ""), distance).lower()),
            _sound_host(_element(lists.get(HOST, ""), distance)),
            int(port) if port.isascii() and port.isdigit() and 0 < len(port) <= 5 and 0 < int(port) <= 65535 else None,
        )


def _element(text: str, distance: int) -> str:
    """What the same proxy wrote: those that overwrite leave one value where others leave as many as addresses."""
    if "," in text:
        parts = text.split(",")
        text = parts[-1 - min(distance, len(parts) - 1)]
    return text.strip(" \t")


def _sound_host(text: str) -> bytes | None:
    host = text.encode("latin-1")
    if not host or not is_host(host):
        return None
    name, port = _split(host)
    return host if name and port <= 65535 else None


def _split(host: bytes) -> tuple[bytes, int]:
    """Name and port of a Host that is_host(); 0 where it has no port."""
    name, colon, port = host.rpartition(b":")
    return (name, int(port or 0)) if colon and not port.endswith(b"]") else (host, 0)


def _rename(scope: dict[str, object], fields: Fields, told: Told) -> None:
    """Let Host and `server` say what the client asked for: frameworks make their URLs of the one or the other."""
    host = told.host
    if host is None:
        host = next((value for name, value in fields if name == b"host"), b"")
        if not host:
            return  # HTTP/1.0 without Host: a port alone names nothing
    name, port = _split(host)
    default = DEFAULT_PORTS[str(scope["scheme"])]
    if told.port is not None:
        port = told.port
        host = name if port == default else b"%b:%d" % (name, port)
    scope["server"] = name.strip(b"[]").decode("ascii"), port or default
    scope["headers"] = overrule_host(host, fields)
