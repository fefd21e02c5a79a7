"""The Forwarded header (RFC 7239), strictly: what each proxy on the way says of whoever connected to it. No I/O.

A chain is only worth what its commas are: a client that opens a quoted string would make the element that a proxy
puts behind it part of a value. So a field that does not follow the grammar is refused as a whole, and the request
with it; what stands in a well-formed value is judged by whoever uses it. One leniency: blanks around a semicolon, which
the grammar does not have, some proxies write, and nobody can misread.
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple

from server_core.http.grammar import QUOTED, TOKEN
from server_core.http.message import RequestRejected

_TOKEN: Final = TOKEN.decode("ascii")
_PAIR: Final = re.compile(
    rf"""[ \t]*(?:({_TOKEN})=(?:({_TOKEN})|"({QUOTED.decode("ascii")})")[ \t]*|)([;,]|\Z)""",
)
"""RFC 7239 section 4: [ token "=" ( token / quoted-string ) ], and what ends it. Blanks behind a pair are the pair's,
so that no two runs of blanks meet: where both could take the same ones, a failed match would cost their square."""

_ESCAPE: Final = re.compile(r"\\(.)", re.DOTALL)

_NODE: Final = re.compile(r"[0-9.]+(?::[\w.\-]+)?|\[[0-9A-Fa-f:.]+\](?::[\w.\-]+)?", re.ASCII)
"""What can be an address there: RFC 7239 section 6.1 has IPv6 in brackets only."""


UNKNOWN: Final = "unknown"


class Element(NamedTuple):
    """What one proxy says; `proto` and `host` are empty if it does not say them."""

    node: str
    """`for`: an address with or without a port, or UNKNOWN: not said, said to be unknown, obfuscated, or no address."""
    proto: str
    host: str


def parse_forwarded(text: str) -> list[Element]:
    """The elements in the order of the proxies; RequestRejected if the grammar is broken anywhere."""
    elements: list[Element] = []
    pairs: dict[str, str] = {}
    at = 0
    while True:
        match = _PAIR.match(text, at)
        if match is None:
            raise RequestRejected(400, "malformed Forwarded")
        name, token, quoted, end = match.groups()
        if name is not None:
            name = name.lower()
            if name in pairs:  # section 4: each parameter "MUST NOT occur more than once per field-value"
                raise RequestRejected(400, "malformed Forwarded")
            if quoted is not None and "\\" in quoted:
                quoted = _ESCAPE.sub(r"\1", quoted)
            pairs[name] = token if quoted is None else quoted
        if end != ";":
            if pairs:
                node = pairs.get("for", UNKNOWN)
                elements.append(
                    Element(node if _NODE.fullmatch(node) else UNKNOWN, pairs.get("proto", ""), pairs.get("host", ""))
                )
                pairs = {}
            if not end:
                return elements
        at = match.end()
