"""RFC 6455 once more, byte by byte and without thought for speed: what a server's frame machine is compared with.

Nothing of the product is used here. A generator asks for one byte after the other, as the RFC's prose does; what it had
told when its bytes ran out is the verdict.
"""

from __future__ import annotations

import zlib
from collections.abc import Generator, Iterable

CLOSE, PING, PONG = 8, 9, 10
Bytes = Generator[None, int, None]


class Verdict:
    """What a server that keeps the RFC makes of a stream: `close` is (code, by the peer) once it is at its end."""

    def __init__(self, max_size: int, *, deflate: bool) -> None:
        self.messages: list[bytes | str] = []
        self.pongs: list[bytes] = []
        self.close: tuple[int, bool] | None = None
        self._max = max_size
        self._deflate = deflate
        self._inflater = zlib.decompressobj(wbits=-12)
        self._message: Message | None = None

    def read(self, stream: Iterable[int]) -> Verdict:
        reading = self._frames()
        next(reading)
        for byte in stream:
            try:
                reading.send(byte)
            except StopIteration:
                break
        return self

    def _end(self, code: int, by_peer: bool = False) -> None:
        self.close = (code, by_peer)

    def _frames(self) -> Bytes:
        while self.close is None:
            first = yield
            second = yield
            if not self._is_legal(first) or second < 128:
                return self._end(1002)
            length = second - 128
            if length >= 126:
                least = 126 if length == 126 else 65536
                length = yield from number(2 if length == 126 else 8)
                if length < least:
                    yield from number(4)
                    return self._end(1002)
            mask = (yield from number(4)).to_bytes(4, "big")
            if first & 15 >= 8:
                yield from self._control(first & 15, length, mask)
            else:
                yield from self._data(first, length, mask)

    def _is_legal(self, first: int) -> bool:
        fin, rsv1, reserved, opcode = first >> 7, first >> 6 & 1, first >> 4 & 3, first & 15
        if reserved or opcode in (3, 4, 5, 6, 7, 11, 12, 13, 14, 15):
            return False
        return bool(fin or opcode < 8) and not (rsv1 and not (self._deflate and opcode in (1, 2)))

    def _control(self, opcode: int, length: int, mask: bytes) -> Bytes:
        if length > 125:
            return self._end(1002)
        payload = bytearray()
        for index in range(length):
            payload.append((yield) ^ mask[index % 4])
        if opcode == CLOSE:
            self._end(*closing(bytes(payload)))
        elif opcode == PING:
            self.pongs.append(bytes(payload))

    def _data(self, first: int, length: int, mask: bytes) -> Bytes:
        if (first & 15 == 0) == (self._message is None) or length >= 1 << 63:
            return self._end(1002)
        message = self._message = self._message or Message(first & 15 == 1, bool(first & 0x40))
        if not message.squeezed and len(message.data) + length > self._max:
            return self._end(1009)
        code = 0
        for index in range(length):
            code = self._grow(message, bytes([(yield) ^ mask[index % 4]]))
            if code:
                return self._end(code)
        if first & 0x80:
            self._message = None
            code = self._grow(message, b"\0\0\xff\xff") if message.squeezed else 0
            try:
                text = message.data.decode() if message.is_text else ""
            except UnicodeDecodeError:
                code = code or 1007
            if code:
                return self._end(code)
            self.messages.append(text if message.is_text else bytes(message.data))

    def _grow(self, message: Message, data: bytes) -> int:
        """Add to a message; the close code if that breaks it."""
        if message.squeezed:
            try:
                data = self._inflated(data)
            except zlib.error:
                return 1007
        message.data += data
        if len(message.data) > self._max:
            return 1009
        return 1007 if message.is_text and not begins_utf8(bytes(message.data)) else 0

    def _inflated(self, data: bytes) -> bytes:
        out = self._inflater.decompress(data)
        while self._inflater.eof:
            data, self._inflater = self._inflater.unused_data, zlib.decompressobj(wbits=-12)
            out += self._inflater.decompress(data)
        return out


def number(width: int) -> Generator[None, int, int]:
    value = 0
    for _ in range(width):
        value = value * 256 + (yield)
    return value


class Message:
    def __init__(self, is_text: bool, squeezed: bool) -> None:
        self.is_text = is_text
        self.squeezed = squeezed
        self.data = bytearray()


def begins_utf8(data: bytes) -> bool:
    """Whether some continuation makes it UTF-8."""
    try:
        data.decode()
    except UnicodeDecodeError as error:
        tail = data[error.start :]
        return error.end == len(data) and any(completes(tail, bytes(more)) for more in CONTINUATIONS)
    return True


CONTINUATIONS = [[byte, *rest] for byte in (0x80, 0x90, 0xA0, 0xBF) for rest in ([], [0x80], [0x80, 0x80])]
"""One of these completes each beginning of a character: the second byte is the only one whose range depends."""


def completes(begun: bytes, more: bytes) -> bool:
    try:
        return len((begun + more).decode()) == 1
    except UnicodeDecodeError:
        return False


def closing(payload: bytes) -> tuple[int, bool]:
    """The code that a close frame leads to, as what `_end` takes: section 5.5.1 and 7.4, and IANA's registry."""
    if not payload:
        return 1005, True
    code = int.from_bytes(payload[:2], "big")
    sendable = 1000 <= code <= 1003 or 1007 <= code <= 1014 or 3000 <= code <= 4999
    if len(payload) == 1 or not sendable:
        return 1002, False
    try:
        payload[2:].decode()
    except UnicodeDecodeError:
        return 1007, False
    return code, True
