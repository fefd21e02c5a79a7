"""Heads of responses, checked once and remembered as bytes; and the fields that every response gets. No I/O."""

from __future__ import annotations

from collections.abc import Container, Sequence
from typing import Final, cast

from server_core.asgi.response_states import ResponseError
from server_core.http.fields import REMEMBERED
from server_core.http1.response_fields import (
    CODING,
    CONNECTION,
    KNOWN_LINES,
    LENGTH,
    STATUS_LINES,
    learn_line,
    status_line,
)

BLOCK_LIMIT: Final = 1024
"""Longest head that is remembered, in bytes; REMEMBERED of them are at most 2 MB. Chosen; no evidence."""


class ResponseHead:
    """A status and headers, checked, as bytes: most responses of an application have one of a few.

    Shared, and never changed but for what ends with the second: the whole head with the defaults of that time.
    """

    __slots__ = (
        *("behind", "close", "coded", "counted", "given", "is_plain", "length", "plain", "status"),
        "whole",
    )

    def __init__(
        self, plain: bytes, status: int, length: int, *, coded: bool, close: bool, given: frozenset[bytes]
    ) -> None:
        self.plain = plain
        self.counted = plain + b"content-length: %d\r\n" % length
        """The same with its content-length, if the application gave one."""
        self.length = length
        """The content-length, or -1."""
        self.status = status
        self.coded = coded
        """Whether the application named a transfer coding. It frames nothing, but says that a length is not known."""
        self.close = close
        self.given = given
        """Names of the defaults that the application gave itself."""
        self.is_plain = length >= 0 and not close and not given and status not in (204, 304)
        """Whether nothing but the length has to be compared before it can go out."""
        self.behind: Defaults | None = None
        self.whole = b""
        """The head of a plain one with the defaults that stand `behind` it."""

    def renew(self, defaults: Defaults) -> None:
        """Put other defaults behind it: there is a new date once a second."""
        self.behind, self.whole = defaults, self.counted + defaults.end

    def with_line(self, line: bytes) -> ResponseHead:
        """The same with one field more, which is none of the defaults'."""
        return ResponseHead(
            self.plain + line, self.status, self.length, coded=self.coded, close=self.close, given=self.given
        )


class Defaults:
    """The fields that every response gets unless the application gave one of the name. Never changed."""

    __slots__ = ("end", "lines")

    def __init__(self, lines: tuple[tuple[bytes, bytes], ...]) -> None:
        self.lines = lines
        """Lower-cased names and lines."""
        self.end = b"".join(line for _, line in lines) + b"\r\n"
        """All the lines, and the end of the head."""

    def without(self, names: Container[bytes]) -> bytes:
        """The lines but those of these names, and the end of the head."""
        return b"".join(line for name, line in self.lines if name not in names) + b"\r\n"


class ResponseHeadCache:
    """The heads that an application's responses have had; one for all the connections of a server."""

    __slots__ = ("_fixed", "_names", "seen")

    def __init__(self, fixed: Sequence[tuple[bytes, bytes]]) -> None:
        """`fixed` are lower-cased names and lines of the defaults; Date comes to them."""
        self._fixed = fixed
        self._names = frozenset((b"date", *(name for name, _ in fixed)))
        self.seen: dict[tuple[object, ...], ResponseHead] = {}
        """What learn() would find at once; read directly where a call matters."""

    def learn(self, key: tuple[object, ...]) -> ResponseHead:
        """Check a status and headers, and remember them; ResponseError if they may not go out."""
        block = _checked(key, self._names)
        if len(block.plain) <= BLOCK_LIMIT:
            if len(self.seen) >= REMEMBERED:
                self.seen.clear()
            try:
                self.seen[key] = block
            except TypeError:  # lists have no hash
                return block
        return block

    def defaults(self, date: bytes) -> Defaults:
        """What is sent besides from now on; without a date if that is empty."""
        dated = [(b"date", b"date: %b\r\n" % date)] if date else []
        return Defaults((*dated, *self._fixed))


NO_BLOCK: Final = ResponseHead(b"", 0, -1, coded=False, close=False, given=frozenset())
"""Before the first response there is none."""


def _checked(key: tuple[object, ...], defaults: frozenset[bytes]) -> ResponseHead:
    status = key[0]
    text = [status_line(status) if not isinstance(status, int) else STATUS_LINES.get(status) or status_line(status)]
    kinds: set[int] = set()
    length = -1
    close = False
    for pair in key[1:]:
        known = None
        try:
            known = KNOWN_LINES[pair]  # type: ignore[index]  # whatever it is: not found, and checked
        except (KeyError, TypeError):  # as in start(); what learn_line() raises must not show this KeyError
            pass
        kind, line, number = known or learn_line(pair)
        if kind == LENGTH:
            if length not in (-1, number):
                raise ResponseError(f"headers: content-length is given twice, as {length} and as {number}")
            length = number
        elif kind == CONNECTION:
            close = close or bool(number)
        elif kind != CODING:
            text.append(line)
        kinds.add(kind)
    given = defaults.intersection(cast("tuple[bytes, bytes]", pair)[0].lower() for pair in key[1:])
    plain = b"".join(text)
    return ResponseHead(plain, int(plain[9:12]), length, coded=CODING in kinds, close=close, given=given)
