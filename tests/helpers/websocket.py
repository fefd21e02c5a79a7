"""A WebSocket client as bytes: frames to send, frames that come."""

from __future__ import annotations

import asyncio
import struct

from tests.helpers.http import DEADLINE_S, Client, Served

CONT, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10
MASK = b"\x11\x22\x33\x44"

HANDSHAKE = (
    b"GET /ws?q=1 HTTP/1.1\r\nhost: x\r\nconnection: Upgrade\r\nupgrade: websocket\r\n"
    b"sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n%b\r\n"
)


def handshake(*fields: bytes) -> bytes:
    """The opening handshake, with these lines besides."""
    return HANDSHAKE % b"".join(field + b"\r\n" for field in fields)


def frame(opcode: int, payload: bytes = b"", *, fin: bool = True, rsv: int = 0, masked: bool = True) -> bytes:
    """A client's frame, or a server's if it is not masked."""
    first = (0x80 if fin else 0) | rsv | opcode
    size, mask = len(payload), 0x80 if masked else 0
    if size < 126:
        head = struct.pack("!BB", first, mask | size)
    elif size < 65536:
        head = struct.pack("!BBH", first, mask | 126, size)
    else:
        head = struct.pack("!BBQ", first, mask | 127, size)
    if not masked:
        return head + payload
    key = int.from_bytes((MASK * (size // 4 + 1))[:size], "big")
    return head + MASK + (int.from_bytes(payload, "big") ^ key).to_bytes(size, "big")


def close_frame(code: int, reason: bytes = b"", *, masked: bool = True) -> bytes:
    return frame(CLOSE, struct.pack("!H", code) + reason, masked=masked)


async def opened(served: Served, *fields: bytes) -> Client:
    """A client whose handshake was accepted."""
    client = await served.connect()
    client.send(handshake(*fields))
    assert (await client.response()).status == 101
    return client


async def next_frame(client: Client) -> tuple[int, bytes]:
    """Opcode and payload of the server's next frame, which is whole and not masked."""
    async with asyncio.timeout(DEADLINE_S):
        first, size = await client.reader.readexactly(2)
        assert first & 0x80
        assert not size & 0x80
        if size == 126:
            (size,) = struct.unpack("!H", await client.reader.readexactly(2))
        elif size == 127:
            (size,) = struct.unpack("!Q", await client.reader.readexactly(8))
        return first & 0x0F, await client.reader.readexactly(size)


async def next_close(client: Client) -> tuple[int, str]:
    """Code and reason of the close frame that must be the next one."""
    opcode, payload = await next_frame(client)
    assert opcode == CLOSE
    return (struct.unpack("!H", payload[:2])[0] if payload else 1005), payload[2:].decode()
