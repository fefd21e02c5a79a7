"""The door: connections of the control socket, or of admin-bind, answered without ever blocking the master. Host side.

A connection reads one request, is answered once and is closed. What a reading command shows is rendered at once from
the View. A writing command becomes a fact with a ticket, and the connection waits until the policy answers it; if
the client leaves before, RequesterGone says so. No client can hold anything up or use up anything:

    request      8 KiB (protocol.REQUEST_LIMIT), 5 s                       else 413/431, 408
    connections  64, or 4 while descriptors are scarce (descriptors.py); then the oldest that has not sent its
                 request leaves                                            503
    output       a client that takes nothing for 5 s is dropped; all unread output together is bounded
    a read       at most 64 KiB a turn of the loop, so a flood takes turns with everything else

Length: the stages of a connection are one machine, and its transitions are checked by reading them side by side.
"""

from __future__ import annotations

import enum
import errno
import os
import select
import socket
from collections.abc import Callable, Mapping
from dataclasses import field
from functools import partial
from typing import TYPE_CHECKING, Final, Protocol

from server_core.records import dataclass
from supervisor_d import clock
from supervisor_d.control.command_types import Asked, Call
from supervisor_d.control.commands import understand
from supervisor_d.control.messages import Refused, Reply, Request, json_reply
from supervisor_d.control.pages import backlog
from supervisor_d.control.peer import Peer, peer_of
from supervisor_d.control.snapshot import View
from supervisor_d.host.control.refusal_log import RefusalLog
from supervisor_d.host.reactor import READ, WRITE, Deadline, Watcher
from supervisor_d.host.system.descriptors import is_scarce
from supervisor_d.log import Log
from supervisor_d.vocabulary import Instant, Origin, RequesterGone, Ticket

if TYPE_CHECKING:
    from supervisor_d.control.protocol import ServerSide

REQUEST_TIMEOUT_S: Final = 5.0
WRITE_TIMEOUT_S: Final = 5.0
CONNECTIONS_MAX: Final = 64
CONNECTIONS_MIN: Final = 4
"""How many are kept while descriptors are scarce; chosen: a probe, a scrape, an operator, and one that is slow."""
LINGER_S: Final = 1.0
"""How long what a refused client still sends is read and dropped, so that it reads its answer and no reset."""
READ_BYTES: Final = 65536
SURPLUS_MAX: Final = 65536
"""Bytes after the request that are ignored; who sends more is not waiting for an answer. Chosen."""
UNREAD_MAX: Final = 32 * 1024 * 1024
"""Output of all connections together: that of thirty clients that read pages (control/pages.py) slowly. Chosen."""
FOLLOWER_UNREAD_MAX: Final = 4 * 1024 * 1024
"""Output of one follower of events, which begins with a page (control/pages.py); chosen."""
ACCEPT_PAUSE_S: Final = 1.0
"""Pause when there is no descriptor to accept with; chosen, as one second is in nginx (accept_mutex off)."""

EXHAUSTED: Final = frozenset((errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM))


class Stage(enum.Enum):
    READING = "reading its request"
    WAITING = "waiting for the policy's answer"
    FOLLOWING = "following the events"
    ANSWERED = "the answer is on its way"
    LINGERING = "refused; what it still sends is dropped"
    GONE = "closed"


@dataclass(slots=True, eq=False)
class Caller:
    """One connection."""

    socket: socket.socket
    peer: Peer
    wire: ServerSide
    stage: Stage = Stage.READING
    output: bytearray = field(default_factory=bytearray)
    deadline: Deadline | None = None
    ticket: Ticket | None = None
    wants_stream: bool = False
    streams: bool = False
    heard_all: bool = False
    """The request was read whole, so closing cannot cut the client off in the middle of sending it."""
    half_closed: bool = False
    surplus: int = 0

    def set_deadline(self, deadline: Deadline | None) -> None:
        if self.deadline is not None:
            self.deadline.cancel()
        self.deadline = deadline


class Entrance(Protocol):
    """What connections come in by: a listening socket, what to call it, and how to give it up."""

    @property
    def socket(self) -> socket.socket: ...
    @property
    def address(self) -> str: ...
    def close(self) -> None: ...


class ControlSocket:
    """Owns the listener and all connections. `view` is what reading commands show, `understand` makes calls."""

    def __init__(
        self,
        watcher: Watcher,
        listener: Entrance,
        view: Callable[[], View],
        log: Log,
        understand: Callable[[Request], Call] = understand,
    ) -> None:
        self._watcher = watcher
        self._listener = listener
        self._view = view
        self._log = log
        self._understand = understand
        self._callers: dict[int, Caller] = {}  # by descriptor, oldest first
        self._tickets: dict[Ticket, Caller] = {}
        self._tickets_made = 0
        self._writers = frozenset((0, os.geteuid()))
        self._refusals = RefusalLog(log)
        self._listen()

    @property
    def address(self) -> str:
        return self._listener.address

    def progress(self, ticket: Ticket, body: Mapping[str, object]) -> None:
        """Tell a waiting client that asked for a stream how far it is; nothing to any other."""
        caller = self._tickets.get(ticket)
        if caller is not None and caller.wants_stream:
            head = b"" if caller.streams else caller.wire.begin_stream(200)
            caller.streams = True
            self._send(caller, head + caller.wire.line(body))

    def answer(self, ticket: Ticket, status: int, body: Mapping[str, object]) -> None:
        """The one answer to a ticket; nothing if its client is gone."""
        caller = self._tickets.pop(ticket, None)
        if caller is None:
            return
        caller.ticket = None
        caller.stage = Stage.ANSWERED
        if not caller.wants_stream:
            self._send(caller, caller.wire.reply(json_reply(status, body)))
            return
        head = b"" if caller.streams else caller.wire.begin_stream(status)
        self._send(caller, head + caller.wire.line({**body, "status": status}) + caller.wire.end_stream())

    def publish(self, event: Mapping[str, object]) -> None:
        """Tell one event to all who follow; to be called for every event that is logged."""
        for caller in tuple(self._callers.values()):
            if caller.stage is Stage.FOLLOWING:
                self._send(caller, caller.wire.line(event))
                if len(caller.output) > FOLLOWER_UNREAD_MAX:
                    self._hang_up(caller)

    def close(self) -> None:
        """Answer who still waits, as far as it can be done at once, and remove the socket."""
        self._watcher.forget(self._listener.socket.fileno())
        self._listener.close()
        for ticket in tuple(self._tickets):
            self.answer(ticket, 503, {"error": "the daemon has stopped"})
        for caller in tuple(self._callers.values()):
            if caller.stage is Stage.FOLLOWING:
                caller.stage = Stage.ANSWERED
                self._send(caller, caller.wire.end_stream())
            self._hang_up(caller)

    def _listen(self) -> None:
        self._watcher.watch(self._listener.socket.fileno(), READ, self._accept, lambda _: self._pause())

    def _accept(self, _: int) -> None:
        """One connection a turn: the others are not kept waiting for long, and nor is anything else."""
        try:
            connection, _peer_address = self._listener.socket.accept()
        except (BlockingIOError, ConnectionAbortedError):
            return  # it left before its turn came
        except OSError as error:
            if error.errno not in EXHAUSTED:
                raise
            self._log("control.unavailable", reason=f"cannot accept: {error.strerror}; again in {ACCEPT_PAUSE_S:g} s")
            self._pause()
            return
        from supervisor_d.control.protocol import ServerSide  # here: see late_imports.py

        connection.setblocking(False)
        caller = Caller(connection, peer_of(connection), ServerSide())
        if len(self._callers) >= (
            CONNECTIONS_MIN if is_scarce(max((connection.fileno(), *self._callers))) else CONNECTIONS_MAX
        ):
            self._make_room(caller)
        if caller.stage is Stage.GONE:
            return
        self._callers[connection.fileno()] = caller
        caller.set_deadline(self._after(REQUEST_TIMEOUT_S, lambda: self._time_out(caller)))
        self._watch(caller)

    def _pause(self) -> None:
        self._watcher.forget(self._listener.socket.fileno())
        self._watcher.at(Instant(clock.now() + ACCEPT_PAUSE_S), self._listen_again)

    def _listen_again(self) -> None:
        if self._listener.socket.fileno() >= 0:  # the pause may outlast the door
            self._listen()

    def _make_room(self, newcomer: Caller) -> None:
        """The oldest connection that has not sent its request leaves; if all have, the newcomer does."""
        reading = (caller for caller in self._callers.values() if caller.stage is Stage.READING)
        leaver = next(reading, newcomer)
        self._refuse(leaver, Refused(503, f"more than {len(self._callers)} connections; try again"))
        self._hang_up(leaver)

    def _handle(self, caller: Caller, events: int) -> None:
        if events & WRITE:
            self._flush(caller)
        if events & READ and caller.stage is not Stage.GONE:
            self._read(caller)

    def _read(self, caller: Caller) -> None:
        try:
            data = caller.socket.recv(READ_BYTES)
        except BlockingIOError:
            return
        except OSError:  # ECONNRESET: it left without reading all that we had sent
            self._hang_up(caller)
            return
        if caller.stage is Stage.READING:
            self._receive(caller, data)
        elif not data:
            self._end_of_input(caller)
        else:
            caller.surplus += len(data)
            if caller.surplus > SURPLUS_MAX and caller.stage is not Stage.LINGERING:
                self._hang_up(caller)

    def _receive(self, caller: Caller, data: bytes) -> None:
        caller.half_closed = not data
        try:
            request = caller.wire.receive(data)
            if request is None:
                if not data:  # it connected and left: whoever looks whether we live does that
                    self._hang_up(caller)
                else:
                    self._send(caller, caller.wire.interim())
                return
            caller.heard_all = True
            self._obey(caller, self._understand(request))
        except Refused as refused:
            self._refuse(caller, refused)

    def _obey(self, caller: Caller, call: Call) -> None:
        caller.set_deadline(None)
        caller.wants_stream = call.wants_stream
        if call.command.act is not None:
            self._act(caller, call)
        elif call.follows:
            caller.stage = Stage.FOLLOWING
            told = backlog(self._view().events, "seq", call.values)
            self._send(caller, caller.wire.begin_stream(200) + b"".join(map(caller.wire.line, told)))
        elif call.command.read is not None:
            self._reply(caller, call.command.read(self._view(), call.values))

    def _act(self, caller: Caller, call: Call) -> None:
        assert call.command.act is not None
        if caller.peer.uid not in self._writers:
            raise Refused(403, f"uid {caller.peer.uid} may look but not change; root and uid {os.geteuid()} may")
        origin = Origin("control", call.command.ctl.split(" ")[0], caller.peer.pid, caller.peer.uid)
        if not call.waits:
            self._watcher.tell(call.command.act(Asked(origin, None, call.slot, call.values)))
            self._reply(caller, json_reply(202, {"accepted": True}))
            return
        ticket = Ticket(self._tickets_made + 1)
        fact = call.command.act(Asked(origin, ticket, call.slot, call.values))
        self._tickets_made = ticket
        self._tickets[ticket] = caller
        caller.ticket = ticket
        caller.stage = Stage.WAITING
        self._watcher.tell(fact)

    def _reply(self, caller: Caller, reply: Reply) -> None:
        unread = sum(len(other.output) for other in self._callers.values())
        if unread + len(reply.body) > UNREAD_MAX:
            raise Refused(503, "too much output waits for clients that do not read; try again")
        caller.stage = Stage.ANSWERED
        self._send(caller, caller.wire.reply(reply))

    def _refuse(self, caller: Caller, refused: Refused) -> None:
        self._refusals.write(refused, caller.peer)
        caller.stage = Stage.ANSWERED
        self._send(caller, caller.wire.reply(refused.as_reply()))

    def _fail(self, caller: Caller) -> None:
        """Serving it failed (faults.py): it gets a 500 if it has no answer yet, and is closed."""
        if caller.stage is Stage.READING:
            self._refuse(caller, Refused(500, "the daemon failed at this; its log and `ctl incidents` say how"))
        self._hang_up(caller)

    def _time_out(self, caller: Caller) -> None:
        """Its request is late. Who has sent nothing at all is told so, too: it may be waiting for us."""
        self._refuse(caller, Refused(408, f"the request was not there after {REQUEST_TIMEOUT_S:g} s"))

    def _end_of_input(self, caller: Caller) -> None:
        """The client sends no more: has it left, or does it only wait for its answer (a half-close)?"""
        poll = select.poll()
        poll.register(caller.socket, 0)  # POLLHUP, both directions closed, is told unasked
        if caller.stage is Stage.LINGERING or poll.poll(0):
            self._hang_up(caller)
        else:
            caller.half_closed = True
            self._watch(caller)

    def _send(self, caller: Caller, data: bytes) -> None:
        if data and caller.stage is not Stage.GONE:
            was_empty = not caller.output
            caller.output += data
            if was_empty:
                self._flush(caller)

    def _flush(self, caller: Caller) -> None:
        """Write what can be written; when all is, and it was the answer, part."""
        try:
            while caller.output:
                del caller.output[: caller.socket.send(caller.output)]
        except BlockingIOError:
            pass  # the rest when it can be written
        except OSError:  # EPIPE, ECONNRESET: it reads no more
            self._hang_up(caller)
            return
        if caller.output:
            if caller.stage is not Stage.READING:  # there the deadline is the request's
                caller.set_deadline(self._after(WRITE_TIMEOUT_S, lambda: self._hang_up(caller)))
        elif caller.stage is Stage.ANSWERED:
            self._part(caller)
            return
        elif caller.stage is not Stage.READING:
            caller.set_deadline(None)
        self._watch(caller)

    def _part(self, caller: Caller) -> None:
        """Close, but not while the client may still be sending: a reset could overtake the answer."""
        if caller.heard_all or caller.half_closed:
            self._hang_up(caller)
            return
        try:
            caller.socket.shutdown(socket.SHUT_WR)
        except OSError:  # ENOTCONN: it has left meanwhile
            self._hang_up(caller)
            return
        caller.stage = Stage.LINGERING
        caller.set_deadline(self._after(LINGER_S, lambda: self._hang_up(caller)))
        self._watch(caller)

    def _watch(self, caller: Caller) -> None:
        """Ask for what can be of use now. At a client's end of input that is nothing until there is output."""
        if caller.stage is Stage.GONE or caller.socket.fileno() not in self._callers:
            return
        reads = not caller.half_closed and caller.stage is not Stage.ANSWERED
        events = (READ if reads else 0) | (WRITE if caller.output else 0)
        if events:
            handle = partial(self._handle, caller)
            self._watcher.watch(caller.socket.fileno(), events, handle, lambda _: self._fail(caller))
        else:
            self._watcher.forget(caller.socket.fileno())

    def _hang_up(self, caller: Caller) -> None:
        if caller.stage is Stage.GONE:
            return
        caller.stage = Stage.GONE
        caller.set_deadline(None)
        if caller.ticket is not None:
            del self._tickets[caller.ticket]
            self._watcher.tell(RequesterGone(caller.ticket))
        if self._callers.pop(caller.socket.fileno(), None) is not None:
            self._watcher.forget(caller.socket.fileno())
        caller.socket.close()

    def _after(self, timeout_s: float, action: Callable[[], None]) -> Deadline:
        return self._watcher.at(Instant(clock.now() + timeout_s), action)
