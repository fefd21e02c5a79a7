"""One connection of the control socket, or of admin-bind: its request, its answer and its deadlines. Host side.

A connection reads one request, is answered once and is closed. It never waits for its client, and no client can use
up anything:

    request      8 KiB (protocol.REQUEST_LIMIT), 5 s                       else 413/431, 408
    output       a client that takes nothing for 5 s is dropped
    a read       at most 64 KiB a turn of the loop, so a flood takes turns with everything else

What a request means is its service's (server.py); a connection knows nothing of commands and tickets.
"""

from __future__ import annotations

import enum
import select
import socket
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Final, Protocol

from supervisor_d import clock
from supervisor_d.control.messages import Refused, Reply, Request, json_reply
from supervisor_d.control.peer import Peer
from supervisor_d.host.reactor import READ, WRITE, Deadline, Reactor
from supervisor_d.vocabulary import FAULTED, Instant

if TYPE_CHECKING:
    from supervisor_d.control.protocol import ServerSide

REQUEST_TIMEOUT_S: Final = 5.0
WRITE_TIMEOUT_S: Final = 5.0
LINGER_S: Final = 1.0
"""How long what a refused client still sends is read and dropped, so that it reads its answer and no reset."""
READ_BYTES: Final = 65536
SURPLUS_MAX: Final = 65536
"""Bytes after the request that are ignored; a client that sends more does not wait for an answer. Chosen."""
FOLLOWER_UNREAD_MAX: Final = 4 * 1024 * 1024
"""Output of one follower of events, which begins with a page (control/pages.py); chosen."""


class Stage(enum.Enum):
    READING = "reading its request"
    WAITING = "waiting for the policy's answer"
    FOLLOWING = "following the events"
    ANSWERED = "the answer is on its way"
    LINGERING = "refused; what it still sends is dropped"
    GONE = "closed"


class Service(Protocol):
    """What a connection asks of its server."""

    def obey(self, connection: Connection, request: Request) -> None:
        """Answer the request, or have it answered later. Raises Refused."""

    def refused(self, connection: Connection, refused: Refused) -> None:
        """The client is being told that it is refused."""

    def closed(self, connection: Connection) -> None:
        """The connection is about to be closed: forget it, and what it waits for."""


class Connection:
    """Owns the socket. `stage` says where it is; only methods change it."""

    def __init__(self, reactor: Reactor, sock: socket.socket, peer: Peer, wire: ServerSide, service: Service) -> None:
        self.socket = sock
        self.peer = peer
        self.stage = Stage.READING
        self._reactor = reactor
        self._wire = wire
        self._service = service
        self._output = bytearray()
        self._deadline: Deadline | None = None
        self._is_open = False
        self._wants_stream = False
        self._streams = False
        self._heard_all = False  # the request was read whole: closing cannot cut the client off while it sends
        self._half_closed = False
        self._surplus = 0

    @property
    def unread(self) -> int:
        """Bytes that the client has not taken yet."""
        return len(self._output)

    def open(self) -> None:
        """Begin to read the request, which has its time from now on."""
        self._is_open = True
        self._limit(REQUEST_TIMEOUT_S, self._time_out)
        self._watch()

    def wait(self, *, wants_stream: bool) -> None:
        """The answer comes later; as a stream, with its progress before it, where the client wants one."""
        self._wants_stream = wants_stream
        self.stage = Stage.WAITING

    def progress(self, body: Mapping[str, object]) -> None:
        """Tell a waiting client that asked for a stream how far it is; nothing to any other."""
        if self._wants_stream:
            head = b"" if self._streams else self._wire.begin_stream(200)
            self._streams = True
            self._send(head + self._wire.line(body))

    def answer(self, status: int, body: Mapping[str, object]) -> None:
        """The one answer to a client that waits."""
        if not self._wants_stream:
            self.reply(json_reply(status, body))
            return
        self.stage = Stage.ANSWERED
        head = b"" if self._streams else self._wire.begin_stream(status)
        self._send(head + self._wire.line({**body, "status": status}) + self._wire.end_stream())

    def reply(self, reply: Reply) -> None:
        self.stage = Stage.ANSWERED
        self._send(self._wire.reply(reply))

    def refuse(self, refused: Refused) -> None:
        self._service.refused(self, refused)
        self.reply(refused.as_reply())

    def follow(self, backlog: Iterable[Mapping[str, object]]) -> None:
        """Stream these events, and from now on each that is published."""
        self.stage = Stage.FOLLOWING
        self._send(self._wire.begin_stream(200) + b"".join(map(self._wire.line, backlog)))

    def publish(self, event: Mapping[str, object]) -> None:
        """Tell a follower one event; a follower that does not read is dropped."""
        if self.stage is Stage.FOLLOWING:
            self._send(self._wire.line(event))
            if len(self._output) > FOLLOWER_UNREAD_MAX:
                self.hang_up()

    def finish(self) -> None:
        """Close, after the end of the stream where there is one."""
        if self.stage is Stage.FOLLOWING:
            self.stage = Stage.ANSWERED
            self._send(self._wire.end_stream())
        self.hang_up()

    def hang_up(self) -> None:
        """Close at once; nothing if it is closed."""
        if self.stage is Stage.GONE:
            return
        self.stage = Stage.GONE
        self._no_limit()
        self._service.closed(self)
        if self._is_open:
            self._reactor.forget(self.socket.fileno())
        self.socket.close()

    def _handle(self, events: int) -> None:
        if events & WRITE:
            self._flush()
        if events & READ and self.stage is not Stage.GONE:
            self._read()

    def _read(self) -> None:
        try:
            data = self.socket.recv(READ_BYTES)
        except BlockingIOError:
            return
        except OSError:  # ECONNRESET: it left without reading all that we had sent
            self.hang_up()
            return
        if self.stage is Stage.READING:
            self._receive(data)
        elif not data:
            self._end_of_input()
        else:
            self._surplus += len(data)
            if self._surplus > SURPLUS_MAX and self.stage is not Stage.LINGERING:
                self.hang_up()

    def _receive(self, data: bytes) -> None:
        self._half_closed = not data
        try:
            request = self._wire.receive(data)
            if request is None:
                if not data:  # it connected and left: a look whether we live does that
                    self.hang_up()
                else:
                    self._send(self._wire.interim())
                return
            self._heard_all = True
            self._no_limit()
            self._service.obey(self, request)
        except Refused as refused:
            self.refuse(refused)

    def _fail(self) -> None:
        """Serving it failed (faults.py): it gets a 500 if it has no answer yet, and is closed."""
        if self.stage is Stage.READING:
            self.refuse(Refused(500, FAULTED))
        self.hang_up()

    def _time_out(self) -> None:
        """The request is late. A client that has sent nothing at all gets the answer, too: it may be waiting."""
        self.refuse(Refused(408, f"the request was not there after {REQUEST_TIMEOUT_S:g} s"))

    def _end_of_input(self) -> None:
        """The client sends no more: has it left, or does it only wait for its answer (a half-close)?"""
        poll = select.poll()
        poll.register(self.socket, 0)  # POLLHUP, both directions closed, is reported unasked
        if self.stage is Stage.LINGERING or poll.poll(0):
            self.hang_up()
        else:
            self._half_closed = True
            self._watch()

    def _send(self, data: bytes) -> None:
        if data and self.stage is not Stage.GONE:
            was_empty = not self._output
            self._output += data
            if was_empty:
                self._flush()

    def _flush(self) -> None:
        """Write what can be written; when all is, and it was the answer, close."""
        try:
            while self._output:
                del self._output[: self.socket.send(self._output)]
        except BlockingIOError:
            pass  # the rest when it can be written
        except OSError:  # EPIPE, ECONNRESET: it reads no more
            self.hang_up()
            return
        if self._output:
            if self.stage is not Stage.READING:  # there the deadline is the request's
                self._limit(WRITE_TIMEOUT_S, self.hang_up)
        elif self.stage is Stage.ANSWERED:
            self._half_close()
            return
        elif self.stage is not Stage.READING:
            self._no_limit()
        self._watch()

    def _half_close(self) -> None:
        """Close, but not while the client may still be sending: a reset could overtake the answer."""
        if self._heard_all or self._half_closed:
            self.hang_up()
            return
        try:
            self.socket.shutdown(socket.SHUT_WR)
        except OSError:  # ENOTCONN: it has left meanwhile
            self.hang_up()
            return
        self.stage = Stage.LINGERING
        self._limit(LINGER_S, self.hang_up)
        self._watch()

    def _watch(self) -> None:
        """Ask for what can be of use now. At a client's end of input that is nothing until there is output."""
        if self.stage is Stage.GONE or not self._is_open:
            return
        reads = not self._half_closed and self.stage is not Stage.ANSWERED
        events = (READ if reads else 0) | (WRITE if self._output else 0)
        if events:
            self._reactor.watch(self.socket.fileno(), events, self._handle, lambda _: self._fail())
        else:
            self._reactor.forget(self.socket.fileno())

    def _limit(self, timeout_s: float, action: Callable[[], None]) -> None:
        self._no_limit()
        self._deadline = self._reactor.at(Instant(clock.now() + timeout_s), action)

    def _no_limit(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None
