"""What a client offers in Sec-WebSocket-Extensions (RFC 6455 section 9.1), and what of it we agree to. Pure.

Of extensions there is one, permessage-deflate (RFC 7692 section 7.1). The websockets library could do this, and
did, but its parts for it take 0.35 MB and 12 ms to load in every worker, whether it has a WebSocket or not (CPython
3.11.7, websockets 17). A test compares the two on whatever hypothesis thinks of.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Final, NamedTuple

from server_core.http.grammar import TOKEN
from server_core.http.message import RequestRejected

NAME: Final = "permessage-deflate"

_TOKEN: Final = re.compile(TOKEN)
_QUOTED: Final = re.compile(rb'"([^"\\]*(?:\\.[^"\\]*)*)"', re.DOTALL)
_ESCAPED: Final = re.compile(rb"\\(.)", re.DOTALL)
_SPACE: Final = b"\t "

_BITS: Final = {b"%d" % bits: bits for bits in range(8, 16)}
"""RFC 7692 7.1.2: decimal, from 8 to 15, no leading zeros."""

BITS_MIN: Final = 9
"""zlib has no raw stream with a window of 256 bytes: it would write 512, and an inflater of 8 bits fail on them."""

Offer = dict[bytes, bytes | None]
"""The parameters of one offer by name."""


class Agreement(NamedTuple):
    """What holds for a connection: our part of the answer, and the two windows."""

    answer: bytes
    bits_in: int
    bits_out: int
    fresh_in: bool
    """Whether each message from the client stands for itself (client_no_context_takeover)."""
    fresh_out: bool


def agree(values: Iterable[bytes], most_bits: int) -> Agreement | None:
    """The first offer of permessage-deflate that can be met, with windows of at most `most_bits`.

    RequestRejected if a value is malformed; an offer that cannot be met, or of something else, is passed over.
    """
    offers = [offer for value in values for offer in _offers(value)]
    for offer in offers:
        agreed = None if offer is None else _met(offer, most_bits)
        if agreed is not None:
            return agreed
    return None


def _offers(value: bytes) -> Iterator[Offer | None]:
    """The offers in one field value; None for another extension, or for one with a parameter given twice.

    Commas and semicolons in a quoted string need no care: its content must be a token, which has none.
    """
    items = [item for item in (part.strip(_SPACE) for part in value.split(b",")) if item]
    if not items:
        raise _malformed()
    for item in items:
        name, *rest = (part.strip(_SPACE) for part in item.split(b";"))
        if not _TOKEN.fullmatch(name):
            raise _malformed()
        parameters = [_parameter(part) for part in rest]
        offer = dict(parameters)
        yield offer if name == NAME.encode() and len(offer) == len(parameters) else None


def _parameter(text: bytes) -> tuple[bytes, bytes | None]:
    name, equals, value = (part.strip(_SPACE) for part in text.partition(b"="))
    if quoted := _QUOTED.fullmatch(value):
        value = _ESCAPED.sub(rb"\1", quoted[1])
    if not _TOKEN.fullmatch(name) or (equals and not _TOKEN.fullmatch(value)):
        raise _malformed()
    return name, value if equals else None


def _met(offer: Offer, most_bits: int) -> Agreement | None:
    """How one offer is answered; None if it cannot be met."""
    rest, answer = dict(offer), [NAME]
    fresh = {}
    for side in ("server", "client"):
        name = f"{side}_no_context_takeover"
        fresh[side] = name.encode() in rest
        if rest.pop(name.encode(), None) is not None:
            return None  # 7.1.1: it has no value
        if fresh[side]:
            answer.append(name)
    bits_out, bits_in = most_bits, 15
    if b"server_max_window_bits" in rest:
        bits_out = min(most_bits, _BITS.get(rest.pop(b"server_max_window_bits") or b"", 0))
    if bits_out < BITS_MIN:
        return None
    answer.append(f"server_max_window_bits={bits_out}")
    if (
        b"client_max_window_bits" in rest
    ):  # 7.1.2.2: only then may we ask for less; without a value it leaves that to us
        value = rest.pop(b"client_max_window_bits")
        bits_in = most_bits if value is None else min(most_bits, _BITS.get(value, 0))
        if not bits_in:
            return None
        answer.append(f"client_max_window_bits={bits_in}")
    if rest:
        return None
    return Agreement("; ".join(answer).encode(), bits_in, bits_out, fresh["client"], fresh["server"])


def _malformed() -> RequestRejected:
    return RequestRejected(400, "malformed Sec-WebSocket-Extensions")
