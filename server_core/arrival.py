"""What an accepted socket is waited for before anything is made of it: its first bytes, which stay where they are.

A connection of TLS takes 54 KiB while its handshake is awaited (OpenSSL's state, the loop's buffers; measured with
1,000, CPython 3.11, uvloop 0.23, OpenSSL 3.0), a socket that is waited for takes 4. Thousands that say nothing should
cost the latter.
"""

from __future__ import annotations

import asyncio
import socket


async def first_byte(loop: asyncio.AbstractEventLoop, sock: socket.socket, timeout_s: float) -> None:
    """Return when something can be read; OSError, and the socket is closed, if nothing comes in time or any more."""
    try:
        async with asyncio.timeout(timeout_s):
            while not _has_spoken(sock):
                await readable(loop, sock)
    except TimeoutError:
        sock.close()
        raise TimeoutError("the client has not begun its handshake") from None
    except BaseException:  # also when the server gives everything up
        sock.close()
        raise


def _has_spoken(sock: socket.socket) -> bool:
    try:
        if sock.recv(1, socket.MSG_PEEK):
            return True
    except BlockingIOError:
        return False
    raise ConnectionAbortedError("the client has gone without a word")


async def readable(loop: asyncio.AbstractEventLoop, sock: socket.socket) -> None:
    """Return when the socket has bytes, or its end."""
    found = loop.create_future()
    loop.add_reader(sock.fileno(), _resolve, found)
    try:
        await found
    finally:
        loop.remove_reader(sock.fileno())


def _resolve(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)
