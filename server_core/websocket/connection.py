"""A connection after its upgrade: bytes in and out, pings, deadlines, backpressure, and how it ends.

It takes the transport over from the HTTP connection, and its place among the server's connections. As there, nothing
has a timer of its own: instants are compared by the server's sweep.

Ends: `close` sends our close frame and waits for the peer's. When the peer's comes, or it breaks a rule, the
application first takes and answers what had come before; then we `part`: the close frame goes out, and the transport is
half-closed and read for a moment, so that no reset overtakes it (transport/closing.py). `abort` when the client does
not answer.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from server_core.asgi.errors import is_disconnect
from server_core.asgi.websocket_session import Link, WebSocketExchange
from server_core.asgi.websocket_states import INTERNAL_ERROR
from server_core.connection.eviction import NEVER
from server_core.connection.write_progress import Progress
from server_core.transport.closing import LingeringClose
from server_core.transport.read_control import ReadControl
from server_core.transport.socket_info import TO_READ, queued_bytes
from server_core.websocket import dismissal
from server_core.websocket.frame_codec import FrameMachine
from server_core.websocket.timeouts import CLOSING, ENDING, LOST, OPEN, SHUT, Due, due

if TYPE_CHECKING:
    from server_core.asgi.call import Call
    from server_core.connection.context import ServerContext
    from server_core.transport.base import Transport

HIGH_WATER: Final = 65536
"""Bytes of messages that wait for the application before reading pauses, as for a request's body."""

SLICE: Final = 4096
"""Bytes read at once from a compressing peer: DEFLATE can blow each up a thousandfold (RFC 1951), and what one slice
has become must fit into memory before reading can pause. Chosen: 4 MiB."""


class WebSocketConnection(Link):
    """The protocol (asyncio.Protocol) of one accepted WebSocket."""

    __slots__ = (
        *("_closing", "_farewell", "_full", "_heard", "_held", "_looks", "_machine", "_mode", "_pinged", "_progress"),
        *("_reading", "_server", "_since", "_sliced", "_transport", "_written_bytes", "session"),
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
        self._mode = OPEN
        self._full = self._pinged = False
        self._heard = True
        self._farewell = b""
        """What is still to be written when the peer's half has ended."""
        self._held = b""
        """Bytes that were read, and wait until the application has taken messages."""
        self._written_bytes = 0
        self._looks = 0
        """How often a drain has wanted to close, and found that something was under way."""
        self._since, self._progress = server.now, Progress(server.now)

    def take_over(self, transport: Transport, head: bytes, held: bytes) -> None:
        """Be the transport's protocol: write `head`, the handshake's answer; `held` came behind the handshake."""
        self._transport = transport
        self._reading, self._closing = ReadControl(transport), LingeringClose(transport, self._server)
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
        if self._held or self._reading.is_paused:
            self._held += data
        elif self._sliced and len(data) > SLICE:
            self._held = data
            self._read_held()
        else:
            self._read(data)

    def _read(self, data: bytes) -> None:
        machine = self._machine
        if self._mode not in (OPEN, CLOSING):
            return  # read only so that the kernel does not answer with a reset
        out = machine.receive(data)
        if machine.ended is not None:
            self._farewell = out
            self.session.finish(*machine.ended)
            if self._mode == OPEN:
                self._mode = ENDING
                self._since = self._server.now
            else:
                self.part()
            return
        if out:
            self._write(out)
        if self._full or self.session.queued > HIGH_WATER:
            # Full, too: a peer that sends pings and reads no pongs must not make us keep them
            self._reading.pause()

    def _read_held(self) -> None:
        while self._held and not self._reading.is_paused:
            size = SLICE if self._sliced else len(self._held)
            data, self._held = self._held[:size], self._held[size:]
            self._read(data)

    def eof_received(self) -> bool:
        return False  # RFC 6455 7.1.1: without a close frame that is no clean end, and there is nobody to answer

    def connection_lost(self, error: Exception | None) -> None:  # noqa: ARG002 - asyncio's signature
        self._mode = LOST
        self._closing.lose()
        session = self.session
        if session.task is not None and not session.task.done():
            self._server.registry.background.add(session)
        session.lose(self._written_bytes)
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
        if self._mode == ENDING:
            self.part()
        elif self._mode == OPEN:
            self._mode = CLOSING
            self._since = self._server.now
            self._write(self._machine.close(code, reason))
            self._reading.resume()
            self._read_held()  # in it may be the peer's close frame

    def part(self) -> None:
        if self._mode < SHUT:
            self._write(self._farewell)
            self._mode = SHUT
            self._reading.resume()
            self._closing.shut(half_closed=False)
        self.session.leave()

    def body_consumed(self) -> None:
        if self._reading.is_paused and not self._full and self.session.queued <= HIGH_WATER:
            self._reading.resume()
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
        """What a drain asks of each connection at its own moment: tell the peer to connect again (dismissal.py).

        The kernel is asked for unread bytes right before the frame is written: a message that comes later crosses it,
        and no server could answer it.
        """
        if self._mode != OPEN:
            return
        loop = self._server.loop
        reason = dismissal.reason(is_quiet=self._is_quiet(), owes=self.session.owes, looks=self._looks)
        if reason is None:
            self._looks += 1
            loop.call_later(dismissal.LOOK_INTERVAL_S, self.close_if_idle)
        else:
            self._dismiss(dismissal.SERVICE_RESTART, reason)
            farewell_s = dismissal.FAREWELL_LAST_S if self._server.is_last else dismissal.FAREWELL_S
            loop.call_later(farewell_s, self._part_unanswered)

    def _part_unanswered(self) -> None:
        if self._mode == CLOSING:
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
        return self._mode == OPEN

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
        if self._mode == OPEN:
            self.close(code, reason)
            self.session.leave(code, reason)

    def abort(self) -> None:
        """Give everything up at once; the peer is told why, if its kernel takes a frame."""
        self._dismiss(dismissal.SERVICE_RESTART, dismissal.RESTART_OWING)
        self.session.leave()
        if self.session.task is not None:
            self.session.task.cancel()
        self._transport.abort()

    def check(self, now: float) -> None:
        """Compare every instant with its deadline; called by the sweep."""
        settings, is_alive = self._server.settings, self._heard or self._reading.is_paused
        if self._progress.is_stalled(now, self._transport.get_write_progress(), settings.write_timeout):
            self.session.leave()
            self._transport.abort()
            return
        what = due(self._mode, now - self._since, settings, is_alive=is_alive, is_pinged=self._pinged)
        if what is Due.RENEW or what is Due.PING:
            self._heard, self._pinged, self._since = False, what is Due.PING, now
            if self._pinged:
                self._write(self._machine.ping())
        elif what is Due.PART:
            self.part()
        elif what is not Due.NOTHING:
            if what is Due.GIVE_UP:
                self._dismiss(INTERNAL_ERROR, "ping timeout")
            self._transport.abort()

    # Bytes

    def _write(self, out: bytes | tuple[bytes, bytes]) -> None:
        if type(out) is tuple:
            self._written_bytes += len(out[0]) + len(out[1])
            self._transport.writelines(out)
        elif out:
            self._written_bytes += len(out)
            self._transport.write(out)  # type: ignore[arg-type]  # not a tuple, so bytes
