"""How a listener is set before a worker accepts from it: it never blocks, and accepted sockets inherit the rest."""

from __future__ import annotations

import contextlib
import socket
from typing import Final

from server_core.contract.listener_options import ACCEPT_TIMEOUT

UNSENT_BYTES: Final = 131072
"""What the kernel takes of a response beyond what the client has room for (tcp(7), TCP_NOTSENT_LOWAT). Without it one
that reads 500 bytes at a time had 1.8 MiB of kernel memory filled for it, and a thousand stopped
the worker for seconds. Measured: Linux 6.18, tcp_wmem up to 4 MiB, python -m tests.bench.slow."""


def prepare(sock: socket.socket) -> None:
    """Set the options that each worker sets, all to the same (contract/listener_options.py)."""
    sock.setblocking(False)
    with contextlib.suppress(OSError):  # a sandbox; then O_NONBLOCK alone is what keeps accept(2) from waiting
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, ACCEPT_TIMEOUT)
    if sock.family != socket.AF_UNIX:
        # Accepted sockets inherit it, which saves a call for each. asyncio (3.11 to 3.13) sets it only on sockets
        # that know their protocol number, and an accepted one says 0.
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if hasattr(socket, "TCP_NOTSENT_LOWAT"):
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, UNSENT_BYTES)
