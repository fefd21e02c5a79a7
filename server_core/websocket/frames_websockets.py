"""Frames by the websockets library's sans-IO protocol: reading, control frames, the close handshake, deflate.

Why this library, and the figures: contrib/docs/WEBSOCKET.md. A frame without compression is written here instead: an
unmasked frame is two to ten bytes in front of the payload, and the library's way costs 2 us and two copies.

Text is decoded fragment by fragment, so that a message which is no UTF-8 fails at the fragment that shows it
(RFC 6455 section 8.1), not when 16 MiB of it have come.
"""

from __future__ import annotations

import codecs
import io
import logging
import struct
from collections import deque
from collections.abc import Iterable
from typing import Final, cast

from websockets.exceptions import InvalidHeader, NegotiationError
from websockets.extensions.base import Extension
from websockets.extensions.permessage_deflate import PerMessageDeflate, ServerPerMessageDeflateFactory
from websockets.frames import Frame, Opcode
from websockets.headers import build_extension, parse_extension
from websockets.protocol import OPEN, SERVER, Protocol
from websockets.typing import ExtensionName

from server_core.http.wire import Refused
from server_core.websocket.frames import Deliver, Ended, Out

JOIN_LIMIT: Final = 8192
"""Largest payload that is copied behind its header, as for HTTP bodies: above it writelines is cheaper."""

INTERNAL_ERROR: Final = 1011

_DEFLATE: Final = ServerPerMessageDeflateFactory(
    server_max_window_bits=12, client_max_window_bits=12, compress_settings={"memLevel": 5}
)
"""32 KiB per connection for compressing (zconf.h: 2^(bits+2) + 2^(level+9)) where zlib's defaults take 256 KiB, for a
few percent of the ratio: the library's own choice, with its reasons in its documentation."""

_SILENT: Final = logging.Logger("server_core.websocket")
"""Stands outside of the logging tree: the application's logging configuration must not make every frame a line."""
_SILENT.disabled = True

_CONT, _TEXT, _BINARY = Opcode.CONT, Opcode.TEXT, Opcode.BINARY
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


class Texts(Extension):
    """Decodes text as its frames are read: an extension, because only those are asked before the protocol goes on.

    What fails here fails the connection with 1007, before anything behind it in the same segment is looked at.
    """

    name = ExtensionName("utf-8")

    def __init__(self, protocol: Protocol) -> None:
        self._protocol = protocol
        self.whole: deque[str] = deque()
        """Messages that are complete, in their order."""
        self._decoder: codecs.IncrementalDecoder | None = None
        self._begun = io.StringIO()

    def decode(self, frame: Frame, *, max_size: int | None = None) -> Frame:  # noqa: ARG002 - the library's signature
        if frame.opcode is _TEXT:
            if frame.fin:
                self.whole.append(str(frame.data, "utf-8"))
            else:
                self._decoder = codecs.getincrementaldecoder("utf-8")()
                self._begun = io.StringIO(newline="")
                self._begun.write(self._decoder.decode(frame.data))
        elif frame.opcode is Opcode.CLOSE:
            # RFC 6455 5.4: "Control frames ... MAY be injected in the middle of a fragmented message"; the library
            # fails a close there, unless it has forgotten the fragments.
            self._protocol.current_size = None
        elif frame.opcode is _CONT and self._decoder is not None:
            self._begun.write(self._decoder.decode(frame.data, final=frame.fin))
            if frame.fin:
                self._decoder = None
                self.whole.append(self._begun.getvalue())
        return frame

    def encode(self, frame: Frame) -> Frame:
        return frame


class WebsocketsMachine:
    """The FrameMachine over websockets.protocol.Protocol."""

    __slots__ = ("_deflates", "_deliver", "_is_text", "_parts", "_protocol", "_texts", "ended")

    def __init__(self, deliver: Deliver, *, max_size: int, deflate: PerMessageDeflate | None) -> None:
        self._deliver = deliver
        self._protocol = Protocol(SERVER, max_size=max_size, logger=_SILENT)
        self._texts = Texts(self._protocol)
        self._deflates = deflate is not None
        # What is read goes through the last one first
        self._protocol.extensions = [self._texts] if deflate is None else [self._texts, deflate]
        self._is_text = False
        """Whether the fragments being read are a text."""
        self._parts = bytearray()
        """Those of a binary message, joined at once: there may be any number of them."""
        self.ended: Ended | None = None

    def receive(self, data: bytes) -> bytes:
        protocol = self._protocol
        if self.ended is not None:
            return b""
        protocol.receive_data(data)
        for event in protocol.events_received():
            frame = cast(Frame, event)  # after the handshake there is nothing else
            opcode = frame.opcode
            if opcode is _BINARY and frame.fin:
                self._deliver(bytes(frame.data))
            elif opcode is _TEXT and frame.fin:
                self._deliver(self._texts.whole.popleft())
            elif opcode is _TEXT or opcode is _BINARY or opcode is _CONT:
                self._take_fragment(frame)
        if protocol.eof_sent:
            self._end()
        return b"".join(protocol.data_to_send())

    def _take_fragment(self, frame: Frame) -> None:
        if frame.opcode is not _CONT:
            self._is_text = frame.opcode is _TEXT
        if not self._is_text:
            self._parts += frame.data
            if frame.fin:
                self._deliver(bytes(self._parts))
                self._parts = bytearray()
        elif frame.fin:
            self._deliver(self._texts.whole.popleft())

    def _end(self) -> None:
        protocol = self._protocol
        close = protocol.close_rcvd or protocol.close_sent
        self.ended = Ended(close.code, close.reason) if close is not None else Ended(INTERNAL_ERROR, "")
        self._parts = bytearray()

    def message(self, data: bytes | str) -> Out:
        opcode = _BINARY
        if isinstance(data, str):
            data = data.encode()
            opcode = _TEXT
        if self._deflates:
            return Frame(opcode, data).serialize(mask=False, extensions=self._protocol.extensions)
        first = 0x80 | opcode
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
