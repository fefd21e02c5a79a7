"""permessage-deflate (RFC 7692): what is agreed with a client, and one connection's two streams, both bounded."""

from __future__ import annotations

import zlib
from collections.abc import Iterable
from typing import Final

from server_core.websocket.extension_offers import agree

WINDOW_BITS: Final = 12
MEM_LEVEL: Final = 5
"""32 KiB per connection for compressing (zconf.h: 2^(bits+2) + 2^(level+9)) where zlib's defaults take 256 KiB, for a
few percent of the ratio: the choice of the websockets library, with its reasons in its documentation."""

LEVEL: Final = 4
"""zlib's own default, 6, follows 128 matches at each byte where this follows 16. Measured on 16 KiB (CPython 3.11.7,
zlib 1.2.13), microseconds and what is left of the size: prose 293 and 0.410 against 238 and 0.417; JSON 235 and 0.209
against 157 and 0.225; a text of six words 1,948 and 0.114 against 165 and 0.133, which is what would hold up everybody
else."""

_TAIL: Final = b"\0\0\xff\xff"
"""RFC 7692 7.2.1: a sender removes these four bytes from the end of each message, a receiver appends them."""


class TooLarge(Exception):
    """A message has grown beyond its limit."""


class Deflate:
    """The two streams of one connection; zlib's states are made when they are first needed, as many never are."""

    __slots__ = ("_bits_in", "_bits_out", "_fresh_in", "_fresh_out", "_inflater", "_squeezer")

    def __init__(self, bits_in: int, bits_out: int, *, fresh_in: bool, fresh_out: bool) -> None:
        self._bits_in = bits_in
        self._bits_out = bits_out
        self._fresh_in = fresh_in
        """Whether each message that comes stands for itself (client_no_context_takeover)."""
        self._fresh_out = fresh_out
        self._inflater: zlib._Decompress | None = None
        self._squeezer: zlib._Compress | None = None

    def inflate(self, data: bytes, room: int, *, last: bool) -> bytes:
        """Some of a message; TooLarge if it is more than `room` bytes, zlib.error if it is none.

        RFC 7692 7.2.3.4: a block with BFINAL set may come, and more behind it. A sender whose library ended a stream
        has begun a new one with an empty window.
        """
        out = self._some(data, room)
        if last:
            out += self._some(_TAIL, room - len(out))
            if self._fresh_in:
                self._inflater = None
        return out

    def _some(self, data: bytes, room: int) -> bytes:
        whole = b""
        while True:
            inflater = self._inflater
            if inflater is None:
                inflater = self._inflater = zlib.decompressobj(wbits=-self._bits_in)
            out = inflater.decompress(data, room + 1)
            room -= len(out)
            if room < 0:
                raise TooLarge
            whole = whole + out if whole else out
            if not inflater.eof:
                return whole
            data, self._inflater = inflater.unused_data, None

    def squeeze(self, data: bytes) -> bytes:
        """A whole message."""
        squeezer = self._squeezer
        if squeezer is None:
            squeezer = zlib.compressobj(LEVEL, wbits=-self._bits_out, memLevel=MEM_LEVEL)
            if not self._fresh_out:
                self._squeezer = squeezer
        return (squeezer.compress(data) + squeezer.flush(zlib.Z_SYNC_FLUSH))[:-4]


def negotiate(offers: Iterable[bytes]) -> tuple[bytes, Deflate] | None:
    """The first offer of permessage-deflate that can be met: our answer to it, and what it agrees on.

    Refused if the header is malformed; an offer that cannot be met, or of something else, is passed over.
    """
    agreed = agree(offers, WINDOW_BITS)
    if agreed is None:
        return None
    deflate = Deflate(agreed.bits_in, agreed.bits_out, fresh_in=agreed.fresh_in, fresh_out=agreed.fresh_out)
    return agreed.answer, deflate
