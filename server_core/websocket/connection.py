"""A connection after its upgrade: bytes in and out, pings, deadlines, backpressure, and how it ends.

It takes the transport over from the HTTP connection, and its place among the server's connections. As there, nothing
has a timer of its own: instants are compared by the server's sweep.

Ends: `close` sends our close frame and waits for the peer's. When the peer's comes, or it breaks a rule, the
application first takes and answers what had come before; then we `part`: the close frame goes out, and `shut`
half-closes and reads on for a moment, so that no reset overtakes it. `abort` when nobody answers.

Length: reading, writing, closing and the deadlines share every attribute; apart they would be friends, not modules.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from server_core.asgi.errors import is_disconnect
from server_core.asgi.websocket_session import Link, WebSocketExchange
from server_core.asgi.websocket_states import INTERNAL_ERROR
from server_core.connection.eviction import NEVER
from server_core.transport.socket_info import TO_BE_TAKEN, TO_READ, queued_bytes
from server_core.websocket.frame_codec import FrameMachine

if TYPE_CHECKING:
    from server_core.asgi.call import Call
    from server_core.connection.context import ServerContext
    from server_core.transport.base import Transport

HIGH_WATER: Final = 65536
"""Bytes of messages that wait for the application before reading pauses, as for a request's body."""

SLICE: Final = 4096
"""Bytes read at once from a compressing peer: DEFLATE can blow each up a thousandfold (RFC 1951), and what one slice
has become must fit into memory before reading can pause. Chosen: 4 MiB."""

CLOSE_TIMEOUT_S: Final = 10.0
"""How long the peer may take to answer our close frame. Precedent: websockets' close_timeout."""

LINGER_S: Final = 1.0
"""How long a half-closed channel is read, as for HTTP."""

SERVICE_RESTART: Final = 1012
"""IANA's registry: "Service Restart"; clients are to connect again."""

RESTART_QUIET: Final = "service restart"
"""The reason when nothing is owed: what the peer has sent without an answer never reached the application."""

RESTART_OWING: Final = "service restart, messages may be unanswered"

PATIENCE_S: Final = 1.0
"""How long an application may take for its last answers when the peer's half has ended. Chosen; no evidence: answering
takes well under a second, and one that never waits for messages must not hold up the end."""

FAREWELL_S: Final = 1.0
"""How long the peer may take to answer our close frame in a drain; chosen: as long as a half-closed one is read."""

LAST_S: Final = 0.3
"""Either of the two where no other worker follows, and the stop waits. Chosen: a peer that listens answers within a
round trip, and one that does not has the frame all the same."""

LOOK_INTERVAL_S: Final = 0.05
PATIENCE_LOOKS: Final = 20
"""A drain's patience is counted in looks, of which each follows a turn of the loop, and not in time: what a worker
slept because the machine was busy is not the application's."""

_OPEN, _ENDING, _CLOSING, _SHUT, _LOST = range(5)
"""In between, _ENDING: the peer's half has ended, _CLOSING: ours."""


class WebSocketConnection(Link):
    """The protocol (asyncio.Protocol) of one accepted WebSocket."""

    __slots__ = (
        "_farewell",
        "_full",
        "_heard",
        "_held",
        "_looks",
        "_machine",
        "_mode",
        "_paused",
        "_pinged",
        "_server",
        "_since",
        "_sliced",
        "_stalled_at",
        "_taken_bytes",
        "_transport",
        "_written_bytes",
        "session",
    )

    is_busy = False
    """An accepted WebSocket is no request."""

    def __init__(
        self, server: ServerContext, session: WebSocketExchange, machine: FrameMachine, *, sliced: bool
    ) -> None:
        self._server = server
        self.session = session
        self._machine = machine
        self._sliced = sliced
        self._mode = _OPEN
        self._full = self._paused = self._pinged = False
        self._heard = True
        self._farewell = b""
        """What is still to be written when the peer's half has ended."""
        self._held = b""
        """Bytes that were read, and wait until the application has taken messages."""
        self._written_bytes = self._taken_bytes = 0
        self._looks = 0
        """How often a drain has wanted to close, and found that something was under way."""
        self._since = self._stalled_at = server.now

    def take_over(self, transport: Transport, head: bytes, held: bytes) -> None:
        """Be the transport's protocol: write `head`, the handshake's answer; `held` came behind the handshake."""
        self._transport = transport
        transport.set_protocol(self)
        transport.write(head)
        if held:
            self._held = held
            self._server.loop.call_soon(self._read_held)  # the application is told of the acceptance first
        if self._server.draining:
            self._server.close_later(self)

    # The transport's side

    def data_received(self, data: bytes) -> None:
        self._heard = True
        if self._held or self._paused:
            self._held += data
        elif self._sliced and len(data) > SLICE:
            self._held = data
            self._read_held()
        else:
            self._read(data)

    def _read(self, data: bytes) -> None:
        machine = self._machine
        if self._mode not in (_OPEN, _CLOSING):
            return  # read only so that the kernel does not answer with a reset
        out = machine.receive(data)
        if machine.ended is not None:
            self._farewell = out
            self.session.finish(*machine.ended)
            if self._mode == _OPEN:
                self._mode = _ENDING
                self._since = self._server.now
            else:
                self.part()
            return
        if out:
            self._write(out)
        if self._full or self.session.queued > HIGH_WATER:
            # Full, too: a peer that sends pings and reads no pongs must not make us keep them
            self._pause()

    def _read_held(self) -> None:
        while self._held and not self._paused:
            size = SLICE if self._sliced else len(self._held)
            data, self._held = self._held[:size], self._held[size:]
            self._read(data)

    def eof_received(self) -> bool:
        return False  # RFC 6455 7.1.1: without a close frame that is no clean end, and there is nobody to answer

    def connection_lost(self, error: Exception | None) -> None:  # noqa: ARG002 - asyncio's signature
        self._mode = _LOST
        session = self.session
        if session.task is not None and not session.task.done():
            self._server.registry.background.add(session)
        session.leave()
        session.sent_bytes = self._written_bytes
        if self._server.access_log is not None:
            self._server.access_log.record_session(session)
        self._server.registry.remove(self)

    def pause_writing(self) -> None:
        self._full = True

    def resume_writing(self) -> None:
        self._full = False
        self.session.wake()
        self.body_consumed()

    # The session's side

    def transmit(self, data: bytes | str) -> None:
        self._write(self._machine.message(data))

    def close(self, code: int, reason: str) -> None:
        if self._mode == _ENDING:
            self.part()
        elif self._mode == _OPEN:
            self._mode = _CLOSING
            self._since = self._server.now
            self._write(self._machine.close(code, reason))
            self._resume()
            self._read_held()  # in it may be the peer's close frame

    def part(self) -> None:
        if self._mode < _SHUT:
            self._write(self._farewell)
            self._shut()
        self.session.leave()

    def body_consumed(self) -> None:
        if self._paused and not self._full and self.session.queued <= HIGH_WATER:
            self._resume()
            if self._held:
                self._server.loop.call_soon(self._read_held)

    def is_full(self) -> bool:
        return self._full

    def future(self) -> asyncio.Future[None]:
        return self._server.loop.create_future()

    def finished(self, session: WebSocketExchange) -> None:
        self._server.registry.end_call(session)

    def failed(self, session: WebSocketExchange, error: BaseException) -> None:
        if not (session.gone and is_disconnect(error)):
            self._server.failures.log_failure(session, error)

    # Ends

    def close_if_idle(self) -> None:
        """What a drain asks of each connection at its own moment: tell the peer to connect again.

        Behind our close frame nothing can be answered (RFC 6455 section 5.5.1), so that what has come goes first: it is
        looked at again shortly. While the application works at a message, as long as the drain lasts, as for a request;
        while it only does not ask for messages, as one that only sends, for a second. The kernel is asked for unread
        bytes right before the frame is written: a message that comes later crosses it, and no server could answer it.
        """
        if self._mode != _OPEN:
            return
        if self._is_quiet():
            self._dismiss(SERVICE_RESTART, RESTART_QUIET)
            self._server.loop.call_later(self._patience(FAREWELL_S), self._part_unanswered)
        elif self._looks < PATIENCE_LOOKS or self.session.owes:
            self._looks += 1
            self._server.loop.call_later(LOOK_INTERVAL_S, self.close_if_idle)
        else:
            self._dismiss(SERVICE_RESTART, RESTART_OWING)
            self._server.loop.call_later(self._patience(FAREWELL_S), self._part_unanswered)

    def _patience(self, usual_s: float) -> float:
        return min(usual_s, LAST_S) if self._server.is_last else usual_s

    def _part_unanswered(self) -> None:
        if self._mode == _CLOSING:
            self._transport.abort()

    def _is_quiet(self) -> bool:
        """Whether the application waits for a message, and none is on its way to it."""
        session = self.session
        if self._held or self._full or session.queued or not session.is_waiting:
            return False
        return not self.has_unread()

    @property
    def is_idle(self) -> bool:
        """Whether it can be asked to close at any moment."""
        return self._mode == _OPEN

    def calls(self) -> tuple[Call, ...]:
        """None that is told of as a request under way."""
        return ()

    def has_unread(self) -> bool:
        """Whether the kernel holds bytes that were not read yet."""
        return queued_bytes(self._transport, TO_READ) != 0

    def eviction_rank(self, now: float) -> tuple[int, float]:  # noqa: ARG002 - of no connection of this kind
        return NEVER, 0.0

    def evict(self) -> None:
        self.abort()

    def push_end(self) -> None:
        """None: it is no response."""

    def _dismiss(self, code: int, reason: str) -> None:
        """Close on our own account: the application is told at once, as it can send nothing more."""
        if self._mode == _OPEN:
            self.close(code, reason)
            self.session.leave(code, reason)

    def _shut(self) -> None:
        self._mode = _SHUT
        transport = self._transport
        self._resume()
        if transport.supports_half_close:
            transport.write_eof()
        else:
            transport.close()  # TLS: its close_notify ends both directions
        self._server.loop.call_later(self._patience(LINGER_S), self._linger_over)

    def _linger_over(self) -> None:
        if self._mode == _LOST:
            return
        transport = self._transport
        is_tls = not transport.supports_half_close
        if transport.get_write_buffer_size() or (is_tls and queued_bytes(transport, TO_BE_TAKEN)):
            again_s = self._patience(LINGER_S)  # not all is taken yet: write-timeout watches
            self._server.loop.call_later(again_s, self._linger_over)
        else:
            transport.abort()

    def abort(self) -> None:
        """Give everything up at once; the peer is told why, if its kernel takes a frame."""
        self._dismiss(SERVICE_RESTART, RESTART_OWING)
        self.session.leave()
        if self.session.task is not None:
            self.session.task.cancel()
        self._transport.abort()

    # Deadlines

    def check(self, now: float) -> None:
        """Compare every instant with its deadline; called by the sweep."""
        settings = self._server.settings
        if self._is_stalled(now, settings.write_timeout):
            self.session.leave()
            self._transport.abort()
        elif self._mode == _ENDING:
            if now - self._since > PATIENCE_S:
                self.part()
        elif self._mode == _CLOSING:
            if now - self._since > CLOSE_TIMEOUT_S:
                self._transport.abort()
        elif self._mode == _OPEN:
            self._check_life(now, settings.ws_ping_interval, settings.ws_ping_timeout)

    def _check_life(self, now: float, interval: float, timeout: float) -> None:
        """Ping a silent peer. Any byte is a sign of life, and while we do not read, silence means nothing."""
        if self._heard or self._paused:
            self._heard = self._pinged = False
            self._since = now
        elif not self._pinged:
            if interval and now - self._since >= interval:
                self._pinged = True
                self._since = now
                self._write(self._machine.ping())
        elif timeout and now - self._since >= timeout:
            self._dismiss(INTERNAL_ERROR, "ping timeout")
            self._transport.abort()

    def _is_stalled(self, now: float, timeout: float) -> bool:
        size = self._transport.get_write_buffer_size()
        taken = self._written_bytes - size
        if not size or taken != self._taken_bytes:
            self._taken_bytes = taken
            self._stalled_at = now
            return False
        return now - self._stalled_at > timeout

    # Bytes

    def _write(self, out: bytes | tuple[bytes, bytes]) -> None:
        if type(out) is tuple:
            self._written_bytes += len(out[0]) + len(out[1])
            self._transport.writelines(out)
        elif out:
            self._written_bytes += len(out)
            self._transport.write(out)  # type: ignore[arg-type]  # not a tuple, so bytes

    def _pause(self) -> None:
        if not self._paused:
            self._paused = True
            self._transport.pause_reading()

    def _resume(self) -> None:
        if self._paused:
            self._paused = False
            if not self._transport.is_closing():
                self._transport.resume_reading()
