"""The server of the control socket, or of admin-bind: accepts connections and has their requests answered. Host side.

What a reading command shows is rendered at once from the Snapshot. A writing command becomes a fact with a ticket, and
its connection waits until the policy answers it; if the client leaves before, RequesterGone says so. No client can hold
anything up or use up anything; what one connection may use is said in connection.py, all together have

    connections  64, or 4 while descriptors are scarce (descriptors.py); then the oldest that has not sent its
                 request leaves                                            503
    output       32 MiB that clients have not read                         503
"""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Callable, Mapping
from typing import Final, Protocol

from supervisor_d import clock
from supervisor_d.control.command_types import Asked, Call
from supervisor_d.control.messages import Refused, Reply, Request, json_reply
from supervisor_d.control.pages import backlog
from supervisor_d.control.peer import peer_of
from supervisor_d.control.routing import understand
from supervisor_d.control.snapshot import Snapshot
from supervisor_d.host.control.connection import Connection, Stage
from supervisor_d.host.control.refusal_log import RefusalLog
from supervisor_d.host.reactor import READ, Reactor
from supervisor_d.host.system.descriptors import is_scarce
from supervisor_d.host.unix_sockets.unix_path import Place
from supervisor_d.log import Log
from supervisor_d.vocabulary import Instant, Origin, RequesterGone, Ticket, error_body

CONNECTIONS_MAX: Final = 64
CONNECTIONS_MIN: Final = 4
"""How many are kept while descriptors are scarce; chosen: a probe, a scrape, an operator, and one that is slow."""
UNREAD_MAX: Final = 32 * 1024 * 1024
"""Output of all connections together: that of thirty clients that read pages (control/pages.py) slowly. Chosen."""
ACCEPT_PAUSE_S: Final = 1.0
"""Pause when there is no descriptor to accept with; chosen, as one second is in nginx (accept_mutex off)."""

EXHAUSTED: Final = frozenset((errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM))


class Entrance(Protocol):
    """What connections are accepted from: a listening socket, what to call it, its file, and how to give it up."""

    @property
    def socket(self) -> socket.socket: ...
    @property
    def address(self) -> str: ...
    @property
    def place(self) -> Place | None: ...
    def close(self) -> None: ...


class ControlServer:
    """Owns the listener and all connections. `view` is what reading commands show, `understand` makes calls."""

    def __init__(
        self,
        reactor: Reactor,
        listener: Entrance,
        view: Callable[[], Snapshot],
        log: Log,
        understand: Callable[[Request], Call] = understand,
    ) -> None:
        self._reactor = reactor
        self._listener = listener
        self._view = view
        self._log = log
        self._understand = understand
        self._connections: dict[int, Connection] = {}  # by descriptor, oldest first
        self._waiting: dict[Ticket, Connection] = {}
        self._tickets_made = 0
        self._writers = frozenset((0, os.geteuid()))
        self._refusals = RefusalLog(log)
        self._listen()

    @property
    def address(self) -> str:
        return self._listener.address

    @property
    def place(self) -> Place | None:
        """The socket file; None if there is none."""
        return self._listener.place

    def move(self, listener: Entrance) -> None:
        """Accept from this listener from now on; the one before is closed. Connections stay as they are."""
        self._reactor.forget(self._listening)  # by its number: the socket may be closed already
        self._listener.close()
        self._listener = listener
        self._listen()

    def progress(self, ticket: Ticket, body: Mapping[str, object]) -> None:
        """Tell a waiting client that asked for a stream how far it is; nothing to any other."""
        connection = self._waiting.get(ticket)
        if connection is not None:
            connection.progress(body)

    def answer(self, ticket: Ticket, status: int, body: Mapping[str, object]) -> None:
        """The one answer to a ticket; nothing if its client is gone."""
        connection = self._waiting.pop(ticket, None)
        if connection is not None:
            connection.answer(status, body)

    def publish(self, event: Mapping[str, object]) -> None:
        """Tell one event to all who follow; to be called for every event that is logged."""
        for connection in tuple(self._connections.values()):
            connection.publish(event)

    def close(self) -> None:
        """Answer the clients that still wait, as far as it can be done at once, and remove the socket."""
        self._reactor.forget(self._listener.socket.fileno())
        self._listener.close()
        for ticket in tuple(self._waiting):
            self.answer(ticket, 503, error_body("the daemon has stopped"))
        for connection in tuple(self._connections.values()):
            connection.finish()

    def obey(self, connection: Connection, request: Request) -> None:
        """Answer the request, or have the policy answer it. Raises Refused."""
        call = self._understand(request)
        if call.command.act is not None:
            self._act(connection, call)
        elif call.follows:
            connection.follow(backlog(self._view().events, "seq", call.values))
        elif call.command.read is not None:
            self._reply(connection, call.command.read(self._view(), call.values))

    def refused(self, connection: Connection, refused: Refused) -> None:
        self._refusals.write(refused, connection.peer)

    def closed(self, connection: Connection) -> None:
        """Forget the connection, and have the policy forget what it waits for."""
        for ticket in [ticket for ticket, waiting in self._waiting.items() if waiting is connection]:
            del self._waiting[ticket]
            self._reactor.tell(RequesterGone(ticket))
        if self._connections.get(connection.socket.fileno()) is connection:
            del self._connections[connection.socket.fileno()]

    def _listen(self) -> None:
        self._listening = self._listener.socket.fileno()
        self._reactor.watch(self._listening, READ, self._accept, lambda _: self._pause())

    def _accept(self, _: int) -> None:
        """One connection a turn: the others are not kept waiting for long, and nor is anything else."""
        try:
            sock, _peer_address = self._listener.socket.accept()
        except (BlockingIOError, ConnectionAbortedError):
            return  # it left before its turn came
        except OSError as error:
            if error.errno not in EXHAUSTED:
                raise
            self._log("control.unavailable", reason=f"cannot accept: {error.strerror}; again in {ACCEPT_PAUSE_S:g} s")
            self._pause()
            return
        from supervisor_d.control.protocol import ServerSide  # here: see deferred_imports.py

        sock.setblocking(False)
        connection = Connection(self._reactor, sock, peer_of(sock), ServerSide(), self)
        if len(self._connections) >= (
            CONNECTIONS_MIN if is_scarce(max((sock.fileno(), *self._connections))) else CONNECTIONS_MAX
        ):
            self._make_room(connection)
        if connection.stage is not Stage.GONE:
            self._connections[sock.fileno()] = connection
            connection.open()

    def _pause(self) -> None:
        self._reactor.forget(self._listener.socket.fileno())
        self._reactor.at(Instant(clock.now() + ACCEPT_PAUSE_S), self._listen_again)

    def _listen_again(self) -> None:
        if self._listener.socket.fileno() >= 0:  # the pause may outlast the server
            self._listen()

    def _make_room(self, new: Connection) -> None:
        """Evict the oldest connection that has not sent its request; if all have, the new one is refused."""
        reading = (each for each in self._connections.values() if each.stage is Stage.READING)
        evicted = next(reading, new)
        evicted.refuse(Refused(503, f"more than {len(self._connections)} connections; try again"))
        evicted.hang_up()

    def _act(self, connection: Connection, call: Call) -> None:
        assert call.command.act is not None
        peer = connection.peer
        if peer.uid not in self._writers:
            raise Refused(403, f"uid {peer.uid} may look but not change; root and uid {os.geteuid()} may")
        origin = Origin("control", call.command.word, peer.pid, peer.uid)
        if not call.waits:
            self._reactor.tell(call.command.act(Asked(origin, None, call.slot, call.values)))
            self._reply(connection, json_reply(202, {"accepted": True}))
            return
        ticket = Ticket(self._tickets_made + 1)
        fact = call.command.act(Asked(origin, ticket, call.slot, call.values))
        self._tickets_made = ticket
        self._waiting[ticket] = connection
        connection.wait(wants_stream=call.wants_stream)
        self._reactor.tell(fact)

    def _reply(self, connection: Connection, reply: Reply) -> None:
        unread = sum(each.unread for each in self._connections.values())
        if unread + len(reply.body) > UNREAD_MAX:
            raise Refused(503, "too much output waits for clients that do not read; try again")
        connection.reply(reply)
