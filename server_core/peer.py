"""What the kernel knows about the other end of a connection."""

from __future__ import annotations

import array
import asyncio
import fcntl
import termios
from typing import Final

from server_core.http.scope import Address

TO_READ: Final[int] = termios.FIONREAD
"""Bytes that came and were not read; on Linux also called SIOCINQ."""

TO_BE_TAKEN: Final[int] = termios.TIOCOUTQ
"""Bytes that were written and the peer has not acknowledged; on Linux also called SIOCOUTQ."""


def queued_bytes(transport: asyncio.BaseTransport, queue: int) -> int:
    """What the kernel holds of a connection, in one of the two queues above."""
    size = array.array("i", [0])
    try:
        fcntl.ioctl(transport.get_extra_info("socket").fileno(), queue, size)
    except (OSError, ValueError):  # the socket is closed already
        return 0
    return size[0]


def address(name: object) -> Address | None:
    """Host and port of a socket's name; None for a Unix socket without one, (path, None) for one with."""
    if isinstance(name, tuple):
        return str(name[0]), int(name[1])
    return (name, None) if isinstance(name, str) and name else None
