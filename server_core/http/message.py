"""The seam between bytes and exchanges: what a request reader tells, and to whom. No I/O, no asyncio.

A reader calls its sink directly, in the order of the bytes: begin and, if there is a body, body (any number of times)
and end. There are no event objects: one request would cost four of them, and each would be taken apart at once.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Protocol

CHUNKED: Final = -1
"""Value of Head.length for a body whose length only its last chunk tells."""

Fields = list[tuple[bytes, bytes]]


class RequestRejected(Exception):
    """The bytes are not a request that may be served: the client's fault, answered with `status` and one line.

    `fields` are what the answer's head holds besides, such as the versions that would be served.
    """

    head: Head | None = None
    """What could be read of the request before it was begun: its line at least, or nothing."""

    def __init__(self, status: int, reason: str, fields: Sequence[tuple[bytes, bytes]] = ()) -> None:
        super().__init__(status, reason)
        self.status = status
        self.reason = reason
        self.fields = fields


def body_too_large() -> RequestRejected:
    """The refusal of a body beyond limit-body, however its length became known."""
    return RequestRejected(413, "request body too large")


class RequestLine:
    """A checked request line, and everything that can be said from it alone. Shared, and never changed."""

    __slots__ = ("authority", "extensions", "is_known", "is_plain", "method", "scope", "target", "version")

    def __init__(
        self,
        method: str,
        version: str,
        target: str,
        scope: dict[str, object],
        extensions: dict[str, object],
        *,
        authority: bytes | None = None,
        is_known: bool = True,
    ) -> None:
        self.method = method
        self.version = version
        self.target = target
        self.scope = scope
        """What this line and the server decide of an ASGI scope, with places for the rest; copied, never handed out."""
        self.extensions = extensions
        """The ASGI extensions that a response to it may use; copied, never handed out."""
        self.authority = authority
        """The host of an absolute-form target, which wins over the Host field (RFC 9112 section 3.2.2)."""
        self.is_known = is_known
        """Whether the header parser knows the method; if not, it is shown another one."""
        self.is_plain = version == "1.1" and method != "HEAD"
        """Whether a response to it needs no second thought."""


class Framing:
    """What the fields that mean something to the server come to. Shared, and never changed."""

    __slots__ = ("expects", "keep_alive", "length", "upgrade")

    def __init__(self, length: int, keep_alive: bool, expects: bool, upgrade: bytes) -> None:
        self.length = length
        """Bytes of the body, or CHUNKED."""
        self.keep_alive = keep_alive
        self.expects = expects
        """The client waits for 100 Continue."""
        self.upgrade = upgrade
        """The protocols offered in Upgrade, or nothing."""


class Head:
    """The head of the request being read; one object per connection, overwritten by each request.

    One that a refusal carries has a line, fields and forwarded, which are empty where they were not read.
    """

    __slots__ = ("_by_name", "fields", "forwarded", "lasting", "line", "request_id", "rules")

    line: RequestLine
    fields: Fields
    """Handed out to the application, which may do with it what it likes."""
    rules: Framing
    forwarded: Fields
    """What proxies may have added, in the order of the fields; whether it is believed is not decided here."""
    request_id: str
    """What the request is called; not set where requests have no ids, and before one is begun."""

    def __init__(self) -> None:
        self.lasting: tuple[tuple[bytes, bytes], ...] = ()
        """The fields again, where the next request may well have the same; else nothing."""
        self._by_name: dict[bytes, bytes] | None = None

    def renew(self, fields: Fields, lasting: tuple[tuple[bytes, bytes], ...]) -> None:
        """These are the fields from now on."""
        self.fields, self.lasting, self._by_name = fields, lasting, None

    def by_name(self) -> dict[bytes, bytes]:
        """The fields by their names, of several the last; made once for all requests with the same fields."""
        if self._by_name is None:
            found = dict(self.lasting or self.fields)
            if not self.lasting:
                return found
            self._by_name = found
        return self._by_name


class HeaderParser(Protocol):
    """Takes one whole request head apart: the part of a reader that httptools or h11 does.

    One serves all connections of a server, a head at a time: it keeps nothing from one parse() to the next.
    """

    special: Fields
    """After parse(): the fields that frame the message or steer the connection (h1_rules.SPECIAL), in order."""
    forwarded: Fields
    """After parse(): the fields a proxy may have added (field_names.FORWARDED_NAME), in order."""
    dropped: int
    """After parse(): how many fields were left out (field_names.DROPPED_NAME)."""
    dropped_total: int
    """Those of all heads that were accepted; the reader counts."""

    def knows(self, method: bytes) -> bool:
        """Whether parse() takes this method; a reader shows it POST in place of others."""

    def parse(self, head: bytes) -> Fields:
        """All fields, names lower-cased and values stripped; RequestRejected(400) if it is not well-formed."""

    def sort(self, head: bytes) -> tuple[Fields, Fields, Fields, int]:
        """All fields, the special and the forwarded ones, and how many were left out, of a well-formed head; refused or
        not."""

    def renew(self) -> None:
        """Forget the request whose head was parsed: its body is somebody else's business."""


class RequestEvents(Protocol):
    """What a reader calls."""

    def begin(self, head: Head) -> None:
        """A request's head is complete and within the rules. If it has no body, it is the whole request."""

    def body(self, data: bytes) -> None:
        """Some bytes of its body, chunk framing taken off."""

    def end(self) -> None:
        """The body is complete; the reader reads no further until it is told to."""
