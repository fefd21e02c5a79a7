"""What the kernel knows about a connection and its two ends."""

from __future__ import annotations

import array
import fcntl
import socket
import struct
import sys
import termios
from typing import Final, NamedTuple

from server_core.transport.base import Transport

TO_READ: Final[int] = termios.FIONREAD
"""Bytes that came and were not read; on Linux also called SIOCINQ."""

Address = tuple[str, int | None]

WILDCARDS: Final = ("0.0.0.0", "::")

TO_BE_TAKEN: Final[int] = termios.TIOCOUTQ
"""Bytes that were written and the peer has not acknowledged; on Linux also called SIOCOUTQ."""


_ARRIVALS: Final = struct.Struct("=52xI72xQ")
"""Of struct tcp_info tcpi_last_data_recv and tcpi_bytes_received, which is there since Linux 4.1."""


def queued_bytes(transport: Transport, queue: int) -> int:
    """What the kernel holds of a connection, in one of the two queues above."""
    size = array.array("i", [0])
    try:
        fcntl.ioctl(transport.fileno(), queue, size)
    except (OSError, ValueError):  # the socket is closed already
        return 0
    return size[0]


class Arrivals(NamedTuple):
    """What has come of a connection's bytes, as TCP counts them."""

    total: int
    quiet_s: float
    """Since the last of them."""


def arrivals(transport: Transport) -> Arrivals | None:
    """None where the kernel does not say: over a Unix socket, outside of Linux, in a sandbox."""
    fd = transport.fileno()
    if fd < 0 or sys.platform != "linux":
        return None
    sock = socket.socket(fileno=fd)
    try:
        quiet_ms, total = _ARRIVALS.unpack(sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _ARRIVALS.size))
    except (OSError, struct.error):
        return None
    finally:
        sock.detach()
    return Arrivals(total, quiet_ms / 1000)


def reset_on_close(fd: int) -> None:
    """Have the peer told of a reset when this socket is closed (socket(7), SO_LINGER)."""
    sock = socket.socket(fileno=fd)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    finally:
        sock.detach()


def half_close(fd: int) -> None:
    """Tell the peer that nothing more will come (shutdown(2), SHUT_WR). OSError if it has reset the connection."""
    sock = socket.socket(fileno=fd)
    try:
        sock.shutdown(socket.SHUT_WR)
    finally:
        sock.detach()


def own_name(fd: int) -> object:
    """The name of a socket on this side (getsockname(2))."""
    sock = socket.socket(fileno=fd)
    try:
        return sock.getsockname()
    finally:
        sock.detach()


_MAPPED: Final = "::ffff:"

IPV6_PARTS: Final = 4
"""Of a socket's name: host, port, flow, scope. socket.family says the same, by four calls of plain Python each time."""


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
