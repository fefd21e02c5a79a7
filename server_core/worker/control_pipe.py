"""The worker's end of the pipe to its master: whole messages out, whole messages in."""

from __future__ import annotations

import os
import socket
import struct
from collections.abc import Mapping
from typing import Final

from server_core.contract.messages import MESSAGE_LIMIT, Message, decode, encode

DESCRIPTOR: Final = struct.Struct("=i")
ROOM: Final = socket.CMSG_LEN(DESCRIPTOR.size)
"""For the one descriptor that comes with a message (unix(7), SCM_RIGHTS)."""
CLOSED_ON_EXEC: Final = getattr(socket, "MSG_CMSG_CLOEXEC", 0)
"""Descriptors that come are closed to programs from the first (recvmsg(2)); macOS has none, where none are sent."""


class MasterGone(Exception):
    """Nobody holds the other end any more, or whoever does speaks another language."""


class Pipe:
    """Owns the descriptor and keeps it open as long as the process lives.

    The socket stays blocking for sending: a worker says a handful of short lines in its life, which always fit the
    buffer, so the one long line (a traceback, from a process about to exit) is the only one that may wait. Receiving
    never waits but in `receive_one`.
    """

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._buffer = b""
        self._descriptors: list[int] = []
        self.is_gone = False
        sock.setblocking(True)
        sock.set_inheritable(False)  # a child of the application must not keep the master from seeing us go

    @staticmethod
    def from_descriptor(fd: int) -> Pipe:
        """OSError (EBADF, ENOTSOCK) if the descriptor is no socket."""
        os.fstat(fd)
        return Pipe(socket.socket(fileno=fd))

    def fileno(self) -> int:
        return self._sock.fileno()

    def close(self) -> None:
        self._sock.close()

    def send(self, verb: str, fields: Mapping[str, object] | None = None) -> bool:
        """Say one line, cut to what a master reads; False if nobody is there to hear it."""
        if not self.is_gone:
            try:
                self._sock.sendall(_within_limit(verb, fields))
            except OSError:  # EPIPE, ECONNRESET: the master is gone, which receive() will say, too
                self.is_gone = True
        return not self.is_gone

    def offer(self, verb: str, fields: Mapping[str, object]) -> bool:
        """Say one line, if there is room for it; False if there is none now, or nobody to hear it.

        For what a worker says while it serves: a master that is stopped must not stop its workers.
        """
        if self.is_gone:
            return False
        line = _within_limit(verb, fields)
        try:
            sent = self._sock.send(line, socket.MSG_DONTWAIT)
        except BlockingIOError:
            return False
        except OSError:  # as in send()
            self.is_gone = True
            return False
        if sent < len(line):  # a stream (macOS): the rest has to follow
            self._sock.sendall(line[sent:])
        return True

    def is_dismissed(self) -> bool:
        """True if the master lives and has hung up nevertheless: it does not want this worker any more.

        The master made the pair of sockets (SO_PEERCRED, unix(7)), and is every worker's parent
        (prefork/template.py).
        """
        if not self.is_gone or not hasattr(socket, "SO_PEERCRED"):
            return False
        form = struct.Struct("3i")
        master, _, _ = form.unpack(self._sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, form.size))
        return bool(master == os.getppid())

    def receive_one(self) -> Message:
        """Wait for the first message (the spec); MasterGone at end of file."""
        while b"\n" not in self._buffer:
            self._fill(0)
        line, _, self._buffer = self._buffer.partition(b"\n")
        return self._decoded(line)

    def receive_with_descriptors(self, most: int) -> tuple[Message, list[int]]:
        """Wait for one message and the descriptors that came with it, not inheritable; MasterGone at end of file."""
        try:
            data, descriptors, _, _ = socket.recv_fds(self._sock, MESSAGE_LIMIT, most)
        except ConnectionError:  # as in _fill
            data, descriptors = b"", []
        if not data:
            self.is_gone = True
            raise MasterGone("the pipe is closed")
        for descriptor in descriptors:
            os.set_inheritable(descriptor, False)
        return self._decoded(data.rstrip(b"\n")), list(descriptors)

    def receive(self) -> list[Message]:
        """The messages that are there, without waiting; MasterGone at end of file, when all were told."""
        try:
            self._fill(socket.MSG_DONTWAIT)
        except BlockingIOError:
            pass  # woken for nothing; what is left in the buffer is told below
        *lines, self._buffer = self._buffer.split(b"\n")
        return [self._decoded(line) for line in lines]

    def descriptor(self) -> int | None:
        """The descriptor that came with the message heard last, owned by the caller; None if there was none free."""
        return self._descriptors.pop(0) if self._descriptors else None

    def _fill(self, flags: int) -> None:
        try:
            # Not socket.recv_fds(), which drops the flags (CPython 3.11 to 3.13), and so would wait.
            data, parts, _, _ = self._sock.recvmsg(MESSAGE_LIMIT, ROOM, flags | CLOSED_ON_EXEC)
        except ConnectionError:  # ECONNRESET: it went with messages of ours unread
            data, parts = b"", []
        if not data:
            self.is_gone = True
            raise MasterGone("the pipe is closed")
        self._buffer += data
        for level, kind, numbers in parts:
            if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
                self._descriptors.append(DESCRIPTOR.unpack_from(numbers)[0])

    def _decoded(self, line: bytes) -> Message:
        try:
            return decode(line)
        except ValueError as error:
            self.is_gone = True
            raise MasterGone(str(error)) from error


def _within_limit(verb: str, fields: Mapping[str, object] | None) -> bytes:
    """One line of at most MESSAGE_LIMIT bytes: while it is longer, the longest field loses a quarter at its beginning.

    The beginning, because the end of a traceback says what happened. Lengths cannot be known before: JSON writes a
    character beyond ASCII as six bytes. A line that is longer would be lost, and with it all that is said later.
    """
    kept = dict(fields or {})
    while len(line := encode(verb, kept or None)) > MESSAGE_LIMIT:
        longest = max(kept, key=lambda name: len(encode("", {name: kept[name]})))
        value = kept[longest]
        if not isinstance(value, (str, list)):
            raise ValueError(f"{verb}: {longest} cannot be cut to fit into a message of {MESSAGE_LIMIT} bytes")
        kept[longest] = value[max(1, len(value) // 4) :]
    return line
