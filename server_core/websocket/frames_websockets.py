"""Frames by the websockets library's sans-IO protocol: reading, control frames, the close handshake, deflate.

Why this library, and the figures: contrib/docs/WEBSOCKET.md. A frame without compression is written here instead: an
unmasked frame is two to ten bytes in front of the payload, and the library's way costs 2 us and two copies.

Text is checked fragment by fragment, so that a message which is no UTF-8 fails at the fragment that shows it
(RFC 6455 section 8.1), not when 16 MiB of it have come.
"""

from __future__ import annotations

import codecs
import logging
import struct
from collections.abc import Iterable
from typing import Final

from websockets.exceptions import InvalidHeader, NegotiationError
from websockets.extensions.permessage_deflate import PerMessageDeflate, ServerPerMessageDeflateFactory
from websockets.frames import Frame, Opcode
from websockets.headers import build_extension, parse_extension
from websockets.protocol import OPEN, SERVER, Protocol

from server_core.http.wire import Refused
from server_core.websocket.frames import Deliver, Ended, Out

JOIN_LIMIT: Final = 8192
"""Largest payload that is copied behind its header, as for HTTP bodies: above it writelines is cheaper."""

INVALID_TEXT: Final = 1007
INTERNAL_ERROR: Final = 1011

_DEFLATE: Final = ServerPerMessageDeflateFactory(
    server_max_window_bits=12, client_max_window_bits=12, compress_settings={"memLevel": 5}
)
"""32 KiB per connection for compressing (zconf.h: 2^(bits+2) + 2^(level+9)) where zlib's defaults take 256 KiB, for a
few percent of the ratio: the library's own choice, with its reasons in its documentation."""

_SILENT: Final = logging.Logger("server_core.websocket")
"""Stands outside of the logging tree: the application's logging configuration must not make every frame a line."""
_SILENT.disabled = True

_TEXT, _BINARY = Opcode.TEXT, Opcode.BINARY
_SHORT = struct.Struct("!BB").pack
_MEDIUM = struct.Struct("!BBH").pack
_LONG = struct.Struct("!BBQ").pack


def negotiate(offers: Iterable[bytes]) -> tuple[bytes, PerMessageDeflate] | None:
    """The first offer of permessage-deflate that can be met: our answer to it, and what it agrees on.

    Refused if the header is malformed; an offer that cannot be met, or of something else, is passed over.
    """
    try:
        offered = [extension for value in offers for extension in parse_extension(value.decode("latin-1"))]
    except InvalidHeader as error:
        raise Refused(400, "malformed Sec-WebSocket-Extensions") from error
    for name, parameters in offered:
        if name == _DEFLATE.name:
            try:
                answer, deflate = _DEFLATE.process_request_params(parameters, ())
            except NegotiationError:
                continue
            return build_extension([(_DEFLATE.name, answer)]).encode("ascii"), deflate
    return None


class WebsocketsMachine:
    """The FrameMachine over websockets.protocol.Protocol."""

    __slots__ = ("_decoder", "_deflates", "_deliver", "_parts", "_protocol", "ended")

    def __init__(self, deliver: Deliver, *, max_size: int, deflate: PerMessageDeflate | None) -> None:
        self._deliver = deliver
        self._protocol = Protocol(SERVER, max_size=max_size, logger=_SILENT)
        self._deflates = deflate is not None
        if deflate is not None:
            self._protocol.extensions = [deflate]
        self._parts = bytearray()
        """The fragments of the message being read, joined at once: there may be any number of them."""
        self._decoder: codecs.IncrementalDecoder | None = None
        """Checks those of a text message as they come."""
        self.ended: Ended | None = None

    def receive(self, data: bytes) -> bytes:
        protocol = self._protocol
        if self.ended is not None:
            return b""
        protocol.receive_data(data)
        for frame in protocol.events_received():
            if frame.__class__ is Frame and (frame.opcode is _TEXT or frame.opcode is _BINARY) and frame.fin:
                try:
                    self._deliver(str(frame.data, "utf-8") if frame.opcode is _TEXT else bytes(frame.data))
                except UnicodeDecodeError:
                    protocol.fail(INVALID_TEXT, "invalid UTF-8")
                    break
            elif not self._take(frame):  # type: ignore[arg-type]  # after the handshake there are frames alone
                break
        if protocol.eof_sent:
            self._end()
        return b"".join(protocol.data_to_send())

    def _take(self, frame: Frame) -> bool:
        """A frame that is no message in itself; False if it fails the connection."""
        if frame.opcode is _TEXT:
            self._decoder = codecs.getincrementaldecoder("utf-8")()
        elif frame.opcode is _BINARY:
            self._decoder = None
        elif frame.opcode is not Opcode.CONT:
            return True  # the protocol has dealt with it
        parts = self._parts
        parts += frame.data
        decoder = self._decoder
        if decoder is None:
            if frame.fin:
                self._deliver(bytes(parts))
        else:
            try:
                decoder.decode(frame.data, final=frame.fin)
            except UnicodeDecodeError:
                self._protocol.fail(INVALID_TEXT, "invalid UTF-8")
                return False
            if frame.fin:
                self._deliver(parts.decode())
        if frame.fin:
            self._parts = bytearray()
        return True

    def _end(self) -> None:
        protocol = self._protocol
        close = protocol.close_rcvd or protocol.close_sent
        self.ended = Ended(close.code, close.reason) if close is not None else Ended(INTERNAL_ERROR, "")
        self._parts = bytearray()

    def message(self, data: bytes | str) -> Out:
        protocol = self._protocol
        if self._deflates:
            if isinstance(data, str):
                protocol.send_text(data.encode())
            else:
                protocol.send_binary(data)
            return b"".join(protocol.data_to_send())
        if isinstance(data, str):
            data = data.encode()
            first = 0x81
        else:
            first = 0x82
        size = len(data)
        if size < 126:
            return _SHORT(first, size) + data
        header = _MEDIUM(first, 126, size) if size < 65536 else _LONG(first, 127, size)
        return header + data if size <= JOIN_LIMIT else (header, data)

    def ping(self) -> bytes:
        self._protocol.send_ping(b"")
        return b"".join(self._protocol.data_to_send())

    def close(self, code: int, reason: str) -> bytes:
        if self._protocol.state is not OPEN:
            return b""
        self._protocol.send_close(code, reason)
        return b"".join(self._protocol.data_to_send())
