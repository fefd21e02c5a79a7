"""What a request field's name means here, decided when a name is first seen and remembered. No I/O.

A name is a row of a table: how it is handed on, and what it is to the server. So what a setting says about names
(underscores, which of a proxy's fields are believed) costs nothing in the requests that follow.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final, NamedTuple

from server_core.http.fields import REMEMBERED
from server_core.http.message import Fields
from server_core.http1.framing import SPECIAL

PLAIN_NAME, SPECIAL_NAME, FORWARDED_NAME, DROPPED_NAME = range(4)
"""Nothing; frames the message or steers its connection; is told by proxies; is not handed on. PLAIN is false."""

LONGEST: Final = 64
"""Bytes of the longest name that is remembered. Chosen; no evidence: longer ones are rare, and cost a look each."""

DROP, REFUSE, KEEP = "drop", "refuse", "keep"


class SortedFields(NamedTuple):
    """The fields of one head."""

    fields: Fields
    """All that are handed on."""
    special: Fields
    forwarded: Fields
    dropped: int
    """How many are not."""


class FieldNames(dict[bytes, tuple[bytes, int]]):
    """Names as they came: lower-cased, and what they mean. A dict, so that a known name costs no call.

    CGI, WSGI and Django write - as _, so that behind them X_Forwarded_For is X-Forwarded-For, and a proxy that takes
    care of the one may let the other through. `underscores` says what becomes of names with `_`: DROP leaves the
    field out, REFUSE answers 400 (as a special name that h1_rules refuses), KEEP hands it on.

    `dropped` is called with a name that is left out, in lower case, when it is met; not each time that it is.
    """

    def __init__(
        self,
        forwarded: Iterable[bytes] = (),
        underscores: str = DROP,
        dropped: Callable[[bytes], object] | None = None,
    ) -> None:
        super().__init__()
        self._forwarded = frozenset(forwarded)
        self._dropped = dropped
        self._underscored = {DROP: DROPPED_NAME, REFUSE: SPECIAL_NAME, KEEP: PLAIN_NAME}[underscores]

    def __missing__(self, name: bytes) -> tuple[bytes, int]:
        lowered = name.lower()
        known = lowered, self._kind(lowered)
        if known[1] == DROPPED_NAME and self._dropped is not None:
            self._dropped(lowered)
        if len(name) <= LONGEST:
            if len(self) >= REMEMBERED:
                self.clear()
            self[name] = known
        return known

    def _kind(self, lowered: bytes) -> int:
        if lowered in SPECIAL:
            return SPECIAL_NAME
        if lowered in self._forwarded:
            return FORWARDED_NAME
        return self._underscored if b"_" in lowered else PLAIN_NAME

    def sort(self, head: bytes) -> SortedFields:
        """The fields straight from the bytes, for a parser that merges or changes some, or refuses them all."""
        fields: Fields = []
        special: Fields = []
        forwarded: Fields = []
        dropped = 0
        for raw in head.split(b"\r\n")[1:-2]:
            name, _, value = raw.partition(b":")
            lowered, kind = self[name]
            if kind == DROPPED_NAME:
                dropped += 1
                continue
            field = lowered, value.strip(b" \t")
            fields.append(field)
            if kind:
                (special if kind == SPECIAL_NAME else forwarded).append(field)
        return SortedFields(fields, special, forwarded, dropped)
