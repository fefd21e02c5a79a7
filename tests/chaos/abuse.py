"""Clients that no server wants: they abort where it hurts, send garbage, or break off their TLS handshake.

Nothing is asked of the answers: what is asked is that nothing is left of these clients. One at a time, each bounded.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import socket
import ssl
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Final

from tests.chaos.wire import Address

Abuse = Callable[["Abuser"], Awaitable[None]]

RESET: Final = struct.pack("ii", 1, 0)
"""SO_LINGER with no time: close(2) sends a reset, socket(7)."""
PATIENCE_S: Final = 5.0
"""For one client, whatever the server does."""

CLIENT_HELLO: Final = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"
"""The first bytes of a TLS handshake (RFC 8446 section 4.1.2), without the rest of it."""


class Abuser:
    """One client after another against one address; `done` counts them."""

    def __init__(self, address: Address, abuses: tuple[Abuse, ...], context: ssl.SSLContext | None, seed: int) -> None:
        self.address = address
        self.context = context
        self.rng = random.Random(seed)
        self.done = 0
        self._abuses = abuses

    async def run(self) -> None:
        """Until it is cancelled."""
        while True:
            with contextlib.suppress(OSError, TimeoutError, asyncio.IncompleteReadError):
                async with asyncio.timeout(PATIENCE_S):
                    await self._abuses[self.done % len(self._abuses)](self)
            self.done += 1
            await asyncio.sleep(self.rng.uniform(0.02, 0.2))

    @contextlib.asynccontextmanager
    async def connected(self, *, secure: bool = False) -> AsyncIterator[Streams]:
        """A connection that ends with a reset."""
        context = self.context if secure else None
        name = "localhost" if context is not None else None
        reader, writer = await asyncio.open_connection(*self.address, ssl=context, server_hostname=name)
        try:
            yield reader, writer
        finally:
            raw = writer.get_extra_info("socket")
            with contextlib.suppress(OSError):
                raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
            writer.transport.abort()


Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


def request(target: str, *fields: str) -> bytes:
    return "\r\n".join((f"{target} HTTP/1.1", "host: chaos", *fields, "", "")).encode()


async def in_the_head(abuser: Abuser) -> None:
    async with abuser.connected(secure=True) as (_, writer):
        writer.write(request("GET /hello?n=1")[: abuser.rng.randint(1, 25)])
        await writer.drain()


async def in_the_upload(abuser: Abuser) -> None:
    async with abuser.connected(secure=True) as (_, writer):
        writer.write(request("POST /digest?n=1", "content-length: 100000") + bytes(abuser.rng.randint(1, 90000)))
        await writer.drain()


async def in_the_download(abuser: Abuser) -> None:
    async with abuser.connected(secure=True) as (reader, writer):
        writer.write(request("GET /stream?n=1&pieces=1000&bytes=20000&every_s=0.001"))
        await reader.readexactly(abuser.rng.randint(1, 100_000))


async def before_the_answer(abuser: Abuser) -> None:
    async with abuser.connected(secure=True) as (_, writer):
        writer.write(request("GET /hello?n=1") * abuser.rng.randint(1, 20))
        await writer.drain()


async def with_garbage(abuser: Abuser) -> None:
    async with abuser.connected() as (reader, writer):
        writer.write(abuser.rng.randbytes(abuser.rng.randint(1, 4000)))
        await reader.read()


async def with_half_a_hello(abuser: Abuser) -> None:
    async with abuser.connected() as (reader, writer):
        writer.write(CLIENT_HELLO + abuser.rng.randbytes(abuser.rng.randint(0, 600)))
        await reader.read(100)


async def in_plain_text(abuser: Abuser) -> None:
    async with abuser.connected() as (reader, writer):
        writer.write(request("GET /hello?n=1"))
        await reader.read(100)


async def behind_the_handshake(abuser: Abuser) -> None:
    async with abuser.connected(secure=True):
        pass


PLAIN: Final[tuple[Abuse, ...]] = (
    *(in_the_head, in_the_upload, in_the_download, before_the_answer),
    *(with_garbage, with_half_a_hello),
)
SECURE: Final[tuple[Abuse, ...]] = (*PLAIN, in_plain_text, behind_the_handshake)
