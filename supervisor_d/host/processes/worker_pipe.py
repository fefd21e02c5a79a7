"""The master's end of a worker's pipe: messages become facts, orders become messages. Host side.

Nothing here waits for a worker. A message is sent whole or not at all: the orders of a worker's life fit into the
socket buffer many hundred times over, so a full buffer means a worker that has not read for that long, which is the
same to us as one that hung up.
"""

from __future__ import annotations

import contextlib
import errno
import math
import socket
from collections.abc import Callable, Mapping, Sequence
from typing import Final, Protocol

from server_core.contract.messages import MESSAGE_LIMIT, Message, decode, encode
from server_core.contract.spec import ListenerSpec
from supervisor_d import clock
from supervisor_d.host.reactor import READ, Deadline, Reactor
from supervisor_d.vocabulary import (
    Fact,
    Instant,
    RecycleRequested,
    Slot,
    WorkerBooted,
    WorkerDetached,
    WorkerDrained,
    WorkerDraining,
    WorkerFailed,
    WorkerFinished,
    WorkerHeld,
    WorkerParked,
    WorkerReady,
    WorkerStarted,
    WorkerStuck,
)

WORDS_MAX: Final = 64
WORDS_PERIOD_S: Final = 1.0
"""So many messages are heard from one worker in so many seconds; one that says more is cut off. A worker says about ten
in its life, and a template one for each fork that was ordered, which are exempt. Chosen: 20,000
in one send were seen to hold the master up for 5 s, 0.25 ms each, so that this many hold it up for 16 ms."""

COUNT_MAX: Final = 2**31
"""Of anything that a worker counts. Chosen: beyond what can be, and a number that anything can write."""

HANG_UP_GRACE_S: Final = 0.5
"""The kernel closes an exiting process's descriptors before it can be reaped. Only a pipe that stays closed for this
long while its process lives is reported as detached. Chosen: the gap is microseconds, or a core dump being written."""

Fields = Mapping[str, object]


def _text(fields: Fields, name: str) -> str:
    value = fields.get(name)
    if not isinstance(value, str):
        raise ValueError(f"{name} must be a text, not {value!r:.80}")
    return value


FACTS: Final[Mapping[str, Callable[[Slot, Fields], Fact]]] = {
    "booted": lambda slot, _: WorkerBooted(slot),
    "started": lambda slot, _: WorkerStarted(slot),
    "ready": lambda slot, _: WorkerReady(slot),
    "failed": lambda slot, fields: WorkerFailed(slot, _text(fields, "stage"), _text(fields, "traceback")),
    "recycle": lambda slot, fields: RecycleRequested(slot, _text(fields, "reason")),
    "stuck": lambda slot, fields: WorkerStuck(
        slot,
        _whole(fields, "busy"),
        _whole(fields, "threads"),
        _whole(fields, "queued"),
        _seconds(fields, "oldest_s"),
        _text(fields, "where"),
        _text(fields, "stacks"),
    ),
    "parked": lambda slot, _: WorkerParked(slot),
    "draining": lambda slot, _: WorkerDraining(slot),
    "finished": lambda slot, _: WorkerFinished(slot),
    "drained": lambda slot, _: WorkerDrained(slot),
    "held": lambda slot, fields: WorkerHeld(
        slot, _texts(fields, "threads"), _texts(fields, "processes"), _text(fields, "stacks")
    ),
}
"""Every verb a worker may say, and the fact it makes."""


def _whole(fields: Fields, name: str) -> int:
    value = fields.get(name)
    if type(value) is not int or not 0 <= value <= COUNT_MAX:
        raise ValueError(f"{name} must be a whole number from 0 to {COUNT_MAX}, not {value!r:.80}")
    return value


def _seconds(fields: Fields, name: str) -> float:
    value = fields.get(name)
    if type(value) not in (int, float) or not 0 <= value < math.inf:  # type: ignore[operator]  # a number, so far
        raise ValueError(f"{name} must be a number of seconds, not {value!r:.80}")
    return float(value)  # type: ignore[arg-type]  # as above


def _texts(fields: Mapping[str, object], name: str) -> tuple[str, ...]:
    value = fields.get(name)
    if not isinstance(value, list) or not all(isinstance(text, str) for text in value):
        raise ValueError(f"{name} must be a list of texts, not {value!r:.80}")
    return tuple(value)


def socket_pair() -> tuple[socket.socket, socket.socket]:
    """(the master's end, the worker's end); the master's is non-blocking."""
    try:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    except OSError as error:
        if error.errno not in (errno.EPROTONOSUPPORT, errno.EPROTOTYPE, errno.ESOCKTNOSUPPORT):
            raise
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)  # macOS has no SOCK_SEQPACKET here
    ours.setblocking(False)
    return ours, theirs


def hand_over(listener: ListenerSpec, pipe: Pipe) -> None:
    """Have a worker accept from a listener that was bound after it was started. Raises OSError."""
    fields = {"address": listener.address, "options": dict(listener.options)}
    pipe.send(encode("listen", fields), (listener.fd,))


def take_back(listener: ListenerSpec, pipe: Pipe) -> None:
    """Have a worker, or a template, close a listener that was shut down."""
    pipe.send(encode("unlisten", {"address": listener.address, "fd": listener.fd}))


class Listener(Protocol):
    """Who hears what comes through a pipe."""

    is_bounded: bool
    """Whether the other side may say only so much (WORDS_MAX); else hear() refuses what was not asked for."""

    def hear(self, message: Message) -> None:
        """One message; ValueError if it is none that may be said here."""

    def hung_up(self, reason: str) -> None:
        """The other side closed the pipe, or broke the rules; nothing more will come."""


class WorkerListener:
    """A worker's messages as facts; `others` are verbs that are not the policy's business."""

    is_bounded = True

    def __init__(
        self, reactor: Reactor, slot: Slot, others: Mapping[str, Callable[[Fields], None]] | None = None
    ) -> None:
        self._reactor = reactor
        self._slot = slot
        self._others = others or {}

    def hear(self, message: Message) -> None:
        if message.verb in self._others:
            self._others[message.verb](message.fields)
        elif message.verb in FACTS:
            self._reactor.tell(FACTS[message.verb](self._slot, message.fields))
        else:
            raise ValueError(f"unknown verb {message.verb!r:.80}")

    def hung_up(self, reason: str) -> None:
        self._reactor.tell(WorkerDetached(self._slot, reason))


class Pipe:
    """One worker's pipe as the master holds it; owns its end."""

    def __init__(self, reactor: Reactor, end: socket.socket, listener: Listener) -> None:
        self._reactor = reactor
        self._end = end
        self.listener = listener
        self._unread = b""
        self._words = 0
        self._words_until = 0.0
        self._is_detached = False
        self._hang_up: Deadline | None = None

    def listen(self) -> None:
        """From now on messages become facts."""
        self._reactor.watch(self._end.fileno(), READ, self._on_readable, self._fail)

    def send(self, message: bytes, descriptors: Sequence[int] = ()) -> None:
        """Tell the worker a line that contract.encode made; if it does not take it, its listener hears of a hang-up.

        `descriptors` are passed along with it (SCM_RIGHTS, unix(7)).
        """
        if self._is_detached:
            return
        try:
            sent = socket.send_fds(self._end, [message], descriptors) if descriptors else self._end.send(message)
            if sent != len(message):
                self._detach("does not read its pipe")
        except BlockingIOError:
            self._detach("does not read its pipe")
        except (BrokenPipeError, ConnectionResetError):
            return  # the other end is closed: reading comes to that after whatever it said last

    def hang_up(self) -> None:
        """Say that nothing more will be said; what the other side says is still heard."""
        with contextlib.suppress(OSError):  # ENOTCONN, EBADF: it is closed
            self._end.shutdown(socket.SHUT_WR)

    def finish(self) -> None:
        """Tell what is still in the pipe of a process that has exited, and close it."""
        while not self._is_detached and self._hang_up is None and self._read():
            pass
        self.close()

    def close(self) -> None:
        """Close our end; nothing if that is done."""
        if self._end.fileno() < 0:
            return
        if self._hang_up is not None:
            self._hang_up.cancel()
        self._is_detached = True
        self._reactor.forget(self._end.fileno())
        self._end.close()

    def _fail(self, _: Exception) -> None:
        self._detach("said what the master failed at")

    def _on_readable(self, _: int) -> None:
        self._read()

    def _read(self) -> bool:
        """One message, if there is one; False when there is nothing more for now or for ever.

        A worker that goes with a message of ours unread leaves ECONNRESET, which is reported once and before what is
        still to be read (net/unix/af_unix.c, as of Linux 6.18): its traceback, say. So reading goes on after it.
        """
        try:
            data = self._end.recv(MESSAGE_LIMIT)
        except BlockingIOError:
            return False
        except ConnectionResetError:
            return True
        if not data:
            self._expect_exit()
            return False
        self._take(data)
        return True

    def _take(self, data: bytes) -> None:
        *lines, self._unread = (self._unread + data).split(b"\n")
        try:
            if len(self._unread) >= MESSAGE_LIMIT:
                raise ValueError(f"a message of more than {MESSAGE_LIMIT} bytes")
            for line in lines:
                self._count()
                self.listener.hear(decode(line))
        except (ValueError, RecursionError) as error:
            self._detach(f"wrote what is no message: {error}")

    def _count(self) -> None:
        """Spend one word of this period's; ValueError if there are none left."""
        now = clock.now()
        if now >= self._words_until:
            self._words, self._words_until = 0, now + WORDS_PERIOD_S
        self._words += 1
        if self._words > WORDS_MAX and self.listener.is_bounded:
            raise ValueError(f"more than {WORDS_MAX} messages in {WORDS_PERIOD_S:g} s")

    def _expect_exit(self) -> None:
        """The other side is gone; give its process a moment to be reaped before that is news of its own."""
        self._reactor.forget(self._end.fileno())
        if self._hang_up is None:
            expired = Instant(clock.now() + HANG_UP_GRACE_S)
            self._hang_up = self._reactor.at(expired, lambda: self._detach("closed its pipe"))

    def _detach(self, reason: str) -> None:
        if not self._is_detached:
            self._is_detached = True
            self._reactor.forget(self._end.fileno())
            self.listener.hung_up(reason)
