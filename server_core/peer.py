"""What the kernel knows about a connection and its two ends."""

from __future__ import annotations

import array
import fcntl
import socket
import struct
import termios
from typing import Final

from server_core.http.scope import Address
from server_core.transport import Transport

TO_READ: Final[int] = termios.FIONREAD
"""Bytes that came and were not read; on Linux also called SIOCINQ."""

WILDCARDS: Final = ("0.0.0.0", "::")

TO_BE_TAKEN: Final[int] = termios.TIOCOUTQ
"""Bytes that were written and the peer has not acknowledged; on Linux also called SIOCOUTQ."""


def queued_bytes(transport: Transport, queue: int) -> int:
    """What the kernel holds of a connection, in one of the two queues above."""
    size = array.array("i", [0])
    try:
        fcntl.ioctl(transport.fileno(), queue, size)
    except (OSError, ValueError):  # the socket is closed already
        return 0
    return size[0]


def reset_on_close(fd: int) -> None:
    """Have the peer told of a reset when this socket is closed (socket(7), SO_LINGER)."""
    sock = socket.socket(fileno=fd)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    finally:
        sock.detach()


_MAPPED: Final = "::ffff:"


def unmapped(name: object) -> object:
    """A socket's name, with an IPv4 address where it is one that is written as IPv6 (RFC 4291 section 2.5.5.2).

    A listener on `[::]` has its IPv4 clients so, and nobody writes rules, logs or lists of addresses for that form.
    """
    if isinstance(name, tuple) and name[0].startswith(_MAPPED) and "." in name[0]:
        return name[0].removeprefix(_MAPPED), name[1]
    return name


def address(name: object) -> Address | None:
    """Host and port of a socket's name, unmapped; None for a Unix socket without one, (path, None) for one with."""
    name = unmapped(name)
    if isinstance(name, tuple):
        return str(name[0]), int(name[1])
    return (name, None) if isinstance(name, str) and name else None


def address_of_all(listener: socket.socket) -> object:
    """The name of all sockets that are accepted here; None if it is bound to several addresses."""
    name = listener.getsockname()
    return name if listener.family == socket.AF_UNIX or name[0] not in WILDCARDS else None
