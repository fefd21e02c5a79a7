"""Request heads by h11: the reference, and the way out where httptools cannot be installed."""

from __future__ import annotations

import h11

from server_core.http.grammar import FIELD_LINES
from server_core.http.message import Fields, RequestRejected
from server_core.http1.field_names import FieldNames, SortedFields


class H11Headers:
    """The HeaderParser over h11, which knows every method.

    h11 says whether a head is well-formed. What its fields are is read from the bytes: h11 merges repeated and listed
    Content-Length values, and makes the value of Transfer-Encoding lower-case.
    """

    __slots__ = ("_limit", "_names", "dropped", "dropped_total", "forwarded", "special")

    def __init__(self, names: FieldNames, limit: int) -> None:
        self._names = names
        self.special: Fields = []
        self.forwarded: Fields = []
        self.dropped = self.dropped_total = 0
        self._limit = limit

    def knows(self, method: bytes) -> bool:  # noqa: ARG002 - the seam's question; h11 takes any token
        return True

    def parse(self, head: bytes) -> Fields:
        fields, self.special, self.forwarded, self.dropped = self._names.sort(head)
        parser = h11.Connection(h11.SERVER, max_incomplete_event_size=self._limit)
        try:
            parser.receive_data(head)
            event = parser.next_event()
        except h11.RemoteProtocolError as error:
            raise RequestRejected(400, "malformed header fields") from error
        # h11 joins folded lines and lets control characters through in values
        if not isinstance(event, h11.Request) or FIELD_LINES.fullmatch(head, head.find(b"\r")) is None:
            raise RequestRejected(400, "malformed header fields")
        return fields

    def sort(self, head: bytes) -> SortedFields:
        return self._names.sort(head)

    def renew(self) -> None:
        """Nothing to forget: each head has a parser of its own."""
