"""Turning new connections away from a listener whose accept queue is about to be emptied for the last time. Host side.

A connection that enters the queue after the last worker has looked, and before the last copy of the listener is
closed, is reset with its request. That moment is microseconds long when all is well, but as long as a worker that
still boots, or hangs, holds its copy. So the door is closed before the queue is emptied:

 - Unix socket: shutdown(2) for reading. connect(2) is refused from then on, what waits can still be accepted
   (net/unix/af_unix.c, as of Linux 6.18).
 - TCP on Linux: a socket filter that drops segments with SYN and without ACK. What is in the queue, or in the middle
   of its handshake, is not touched. A new client's kernel sends its SYN again after a second (RFC 6298 section 2) and
   is refused then, because the listener is closed.

Both act on the socket, so on the copies of all workers, and cannot be taken back: they are for the end, and only for
sockets that end with this daemon. Rejected: shutdown(2) of a TCP listener before its queue is empty, which resets it;
listen(2) with a backlog of 0, which lets one more in.

Once it is empty, shutdown(2) is what refuses new connections though a worker that hangs still has its copy.
"""

from __future__ import annotations

import array
import contextlib
import socket
import struct
import sys
from typing import Final

from server_core.contract.syn_filter import DROP_SYN, INSTRUCTION
from server_core.listen.accept_queue import waiting

SO_ATTACH_FILTER: Final = 26
"""asm-generic/socket.h; the socket module has no name for it. The other values are on architectures without wheels."""


def turn_away(listener: socket.socket) -> None:
    """Keep new connections out of this listener's queue, for good; where that cannot be done, nothing changes."""
    try:
        if listener.family == socket.AF_UNIX:
            listener.shutdown(socket.SHUT_RD)
        elif sys.platform == "linux":
            program = array.array("B", DROP_SYN)
            address, size = program.buffer_info()
            listener.setsockopt(
                socket.SOL_SOCKET, SO_ATTACH_FILTER, struct.pack("HP", size // INSTRUCTION.size, address)
            )
    except OSError:  # ENOTCONN (macOS), EPERM, ENOPROTOOPT (a sandbox): the moment stays microseconds long, usually
        return


def refuse(listener: socket.socket) -> None:
    """Refuse new connections at once, whichever process has copies of it. Those in a TCP listener's queue are reset."""
    with contextlib.suppress(OSError):  # ENOTCONN (macOS, or refused before): then it is as it was
        listener.shutdown(socket.SHUT_RD)


def end(listener: socket.socket) -> int:
    """Refuse new connections, as refuse() does, and reset those in the queue: no worker takes them. Returns how many.

    The kernel does not count those of a Unix socket (one says that there are some), so they are accepted and closed.
    accept(2) never waits on a Unix socket that is shut down: with an empty queue it is EINVAL (net/unix/af_unix.c,
    unix_accept).
    """
    if listener.family != socket.AF_UNIX:
        left = waiting(listener)
        refuse(listener)
        return left
    taken = 0
    with contextlib.suppress(OSError):  # ENOTCONN (macOS): it may wait; EINVAL: the queue is empty; EMFILE: no more
        listener.shutdown(socket.SHUT_RD)
        while True:
            listener.accept()[0].close()
            taken += 1
    return taken
