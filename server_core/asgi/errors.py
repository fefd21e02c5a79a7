"""The error for a client that has gone, and how to know it again in what an application let out."""

from __future__ import annotations

import asyncio
from typing import Final

DEPTH: Final = 8
"""How far causes and groups are followed. Chosen: three layers of middleware make four of them."""


class ClientDisconnected(ConnectionError):
    """The client is gone: send() raises it, and nobody is to blame."""


def is_disconnect(error: BaseException, depth: int = DEPTH) -> bool:
    """Whether this is our own ClientDisconnected, cancellation after it, or what a framework made of it.

    Task groups (asyncio's, anyio's) put it into a group. Of a group every error counts and its own cause does not: one
    that holds a real error is that error's report, whatever the others are.
    """
    seen: BaseException | None = error
    for left in range(depth, 0, -1):
        if isinstance(seen, (ClientDisconnected, asyncio.CancelledError)):
            return True
        if isinstance(seen, BaseExceptionGroup):
            return all(is_disconnect(inner, left - 1) for inner in seen.exceptions)
        if seen is None:
            return False
        seen = seen.__cause__ or seen.__context__
    return False
