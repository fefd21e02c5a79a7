"""The frames of one connection (RFC 6455 section 5), read as their bytes come and written whole. Pure.

Why not a library's, and the figures: contrib/docs/WEBSOCKET.md. Only the masking is somebody else's: a loop over bytes
is nothing for Python, and the websockets library has it in C.

One table says which first bytes are legal, so that reserved bits, unknown opcodes and control frames in fragments need
no rules of their own. A whole message in one frame, which nearly all are, goes straight through. Anything else, be it
fragments or a frame of which only a part has come, is taken piece by piece, unmasked, inflated and decoded at once:
text that is no UTF-8 fails at the byte that shows it (section 8.1), and a message is never held in more than one form.
"""

from __future__ import annotations

import codecs
import io
import struct
import zlib
from collections.abc import Mapping
from typing import Final

from server_core.asgi.websocket_states import is_sendable
from server_core.websocket.deflate import Deflate, TooLarge
from server_core.websocket.frame_codec import Deliver, Ended, Out

try:
    from websockets.speedups import apply_mask
except ImportError:  # no wheel for this platform: plain Python
    from websockets.utils import apply_mask

JOIN_LIMIT: Final = 8192
"""Largest payload that is copied behind its header, as for HTTP bodies: above it writelines is cheaper."""

CONT, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10
FIN, RSV1 = 0x80, 0x40

Head = tuple[int, bool, bool]
_PLAIN: Final[Mapping[int, Head]] = {
    **{opcode: (opcode, False, False) for opcode in (CONT, TEXT, BINARY)},
    **{FIN | opcode: (opcode, True, False) for opcode in (CONT, TEXT, BINARY, CLOSE, PING, PONG)},
}
"""A frame's first byte -> its opcode, whether it is the last of its message, whether that is compressed. Legal ones:
control frames are never fragmented (section 5.5), other opcodes and the bits RSV2 and RSV3 are reserved."""

_DEFLATING: Final[Mapping[int, Head]] = {
    **_PLAIN,
    **{RSV1 | opcode: (opcode, False, True) for opcode in (TEXT, BINARY)},
    **{FIN | RSV1 | opcode: (opcode, True, True) for opcode in (TEXT, BINARY)},
}
"""Where permessage-deflate is agreed, the first frame of a message says whether it is used (RFC 7692 section 6)."""

_CODE: Final = struct.Struct("!H")
_LONG: Final = struct.Struct("!Q")
_SHORT_HEAD = struct.Struct("!BB").pack
_MEDIUM_HEAD = struct.Struct("!BBH").pack
_LONG_HEAD = struct.Struct("!BBQ").pack

PROTOCOL_ERROR, NO_UTF8, TOO_LARGE, NO_CODE = 1002, 1007, 1009, 1005


class Broken(Exception):
    """The peer broke a rule: the code that says so, and which."""

    def __init__(self, code: int, reason: str) -> None:
        self.code = code
        self.reason = reason


class FrameCodec:
    """The FrameMachine of a server."""

    __slots__ = (
        *("_answers", "_begun", "_binary", "_closed", "_decoder", "_deflate", "_deliver", "_heads", "_held", "_last"),
        *("_left", "_mask", "_max", "_offset", "_size", "_squeezed", "_text", "ended"),
    )

    def __init__(self, deliver: Deliver, *, max_size: int, deflate: Deflate | None) -> None:
        self._deliver = deliver
        self._max = max_size
        self._deflate = deflate
        self._heads = _PLAIN if deflate is None else _DEFLATING
        self._held = b""
        """The beginning of a frame whose head, or whose payload if it is a control frame, is not complete."""
        self._left = 0
        """Bytes of a data frame's payload that are still to come; of the frame: `_mask`, `_offset` into it, `_last`."""
        self._begun = 0
        """The opcode of the message of which some was read; of it, too: `_size`, `_squeezed`, what it has become."""
        self._closed = False
        """Our close frame has gone out."""
        self._answers = b""
        self.ended: Ended | None = None

    # In

    def receive(self, data: bytes) -> bytes:
        if self.ended is not None:
            return b""
        if self._held:
            data, self._held = self._held + data, b""
        try:
            self._read(data)
        except Broken as broken:
            self._fail(broken.code, broken.reason)
        if self._answers:
            answers, self._answers = self._answers, b""
            return answers
        return b""

    def _read(self, data: bytes) -> None:
        size = len(data)
        at = self._go_on(data) if self._left else 0
        while at < size and self.ended is None:
            if size < at + 2:
                break
            head = self._heads.get(data[at])
            length = data[at + 1] - 128
            if head is None or length < 0:
                why = f"illegal first byte of a frame: 0x{data[at]:02x}" if head is None else "a frame without a mask"
                raise Broken(PROTOCOL_ERROR, why)
            opcode, last, squeezed = head
            start = at + (6 if length < 126 else 8 if length == 126 else 14)
            if size < start:
                break
            if length > 125:
                length = _extended_length(data, at + 2, length)
            end = start + length
            if opcode >= CLOSE:
                if length > 125:
                    raise Broken(PROTOCOL_ERROR, "a long control frame")
                if size < end:
                    break
                self._control(opcode, apply_mask(data[start:end], data[start - 4 : start]))
            elif end <= size and last and opcode and not self._begun:
                whole = apply_mask(data[start:end], data[start - 4 : start])
                if squeezed:
                    self._size = 0
                    whole = self._inflated(whole, True)
                elif length > self._max:
                    raise self._too_large()
                self._deliver(whole if opcode == BINARY else _decoded(whole))
            else:
                self._begin(opcode, squeezed, length)
                self._left, self._last, self._offset = length, last, 0
                self._mask = data[start - 4 : start]
                end = start + self._go_on(data[start:end])
            at = end
        if at < size and self.ended is None:
            self._held = data[at:]

    def _begin(self, opcode: int, squeezed: bool, length: int) -> None:
        """Check a data frame's place and size, and prepare for its message if it is the first."""
        if bool(opcode) is bool(self._begun):
            raise Broken(PROTOCOL_ERROR, "a message inside of another" if opcode else "a fragment of no message")
        if opcode:
            self._begun, self._squeezed, self._size = opcode, squeezed, 0
            if opcode == BINARY:
                self._binary = bytearray()
            else:
                self._text = io.StringIO(newline="")
                self._decoder = codecs.getincrementaldecoder("utf-8")()
        if length >> 63:
            raise Broken(PROTOCOL_ERROR, "a length of 64 bits")  # section 5.2: "the most significant bit MUST be 0"
        if not self._squeezed and self._size + length > self._max:
            raise self._too_large()

    def _go_on(self, data: bytes) -> int:
        """Take what is there of a data frame's payload; how many bytes that was."""
        piece = data[: self._left]
        taken = len(piece)
        offset = self._offset & 3
        self._offset += taken
        self._left -= taken
        self._take(apply_mask(piece, self._mask[offset:] + self._mask[:offset]), self._last and not self._left)
        return taken

    def _take(self, piece: bytes, last: bool) -> None:
        """Some more of the message."""
        if self._squeezed:
            piece = self._inflated(piece, last)
        self._size += len(piece)
        if self._begun == BINARY:
            self._binary += piece
        else:
            try:
                self._text.write(self._decoder.decode(piece, last))
            except UnicodeDecodeError:
                raise Broken(NO_UTF8, "text that is not UTF-8") from None
        if last:
            whole = bytes(self._binary) if self._begun == BINARY else self._text.getvalue()
            self._forget()
            self._deliver(whole)

    def _inflated(self, piece: bytes, last: bool) -> bytes:
        assert self._deflate is not None  # or the table had refused the bit
        try:
            return self._deflate.inflate(piece, self._max - self._size, last=last)
        except TooLarge:
            raise self._too_large() from None
        except zlib.error:
            raise Broken(NO_UTF8, "data that cannot be decompressed") from None

    def _too_large(self) -> Broken:
        return Broken(TOO_LARGE, f"message larger than {self._max} bytes")

    def _forget(self) -> None:
        self._begun = 0
        self._binary = bytearray()
        self._text = io.StringIO(newline="")

    def _control(self, opcode: int, payload: bytes) -> None:
        if opcode == PING:
            if not self._closed:
                self._answers += _SHORT_HEAD(FIN | PONG, len(payload)) + payload
        elif opcode == CLOSE:
            ended = _ended(payload)
            if not self._closed:
                self._closed = True
                self._answers += _SHORT_HEAD(FIN | CLOSE, len(payload)) + payload
            self._end(ended)

    def _fail(self, code: int, reason: str) -> None:
        self._answers += self.close(code, reason)
        self._end(Ended(code, reason))

    def _end(self, ended: Ended) -> None:
        self.ended = ended
        self._forget()

    # Out

    def message(self, data: bytes | str) -> Out:
        first = FIN | BINARY
        if isinstance(data, str):
            data = data.encode()
            first = FIN | TEXT
        if self._deflate is not None:
            data = self._deflate.squeeze(data)
            first |= RSV1
        size = len(data)
        if size < 126:
            return _SHORT_HEAD(first, size) + data
        header = _MEDIUM_HEAD(first, 126, size) if size < 65536 else _LONG_HEAD(first, 127, size)
        return header + data if size <= JOIN_LIMIT else (header, data)

    def ping(self) -> bytes:
        return b"" if self._closed else _SHORT_HEAD(FIN | PING, 0)

    def close(self, code: int, reason: str) -> bytes:
        if self._closed:
            return b""
        self._closed = True
        payload = _CODE.pack(code) + reason.encode()
        return _SHORT_HEAD(FIN | CLOSE, len(payload)) + payload


def _extended_length(data: bytes, at: int, form: int) -> int:
    """A length of two (126) or eight (127) bytes; RFC 6455 section 5.2 demands the shortest form."""
    packed, least = (_CODE, 126) if form == 126 else (_LONG, 65536)
    length: int = packed.unpack_from(data, at)[0]
    if length < least:
        raise Broken(PROTOCOL_ERROR, "a length that is not in its shortest form")
    return length


def _decoded(data: bytes) -> str:
    try:
        return str(data, "utf-8")
    except UnicodeDecodeError:
        raise Broken(NO_UTF8, "text that is not UTF-8") from None


def _ended(payload: bytes) -> Ended:
    """What a close frame says (section 5.5.1): nothing, or a code that may be sent, and a reason in UTF-8."""
    if not payload:
        return Ended(NO_CODE, "")
    code: int = _CODE.unpack_from(payload)[0] if len(payload) >= 2 else 0
    if not is_sendable(code):
        raise Broken(PROTOCOL_ERROR, "a close frame without a code that may be sent")
    return Ended(code, _decoded(payload[2:]))
