"""A WebSocket client down to the bytes (RFC 6455): one text message, one echo, and whatever else may come.

A message that was written and not echoed is lost. A connection that the server has closed (a close frame, or the end)
before a byte of the next message was written is opened anew: the kernel is asked right before, as for HTTP.

A message may cross the server's close frame: the frame has left before the message came. Then neither side can tell
the other (RFC 6455 section 5.5.1: no data follows a close frame), and no server can answer. What a server can promise
is what its close frame says: `1012 service restart` stands for "I have asked my kernel right before this frame, there
was no message, and the application will be given none". So the client sends the message again, on a new connection,
where it must be echoed; and when all is over the application's own journal of what it was given must not hold it.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib

from tests.chaos.client import ANSWER_TIMEOUT_S, Client
from tests.chaos.wire import Lost, Wire

GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
TEXT, CLOSE, PING, PONG = 0x1, 0x8, 0x9, 0xA
FIN, MASKED = 0x80, 0x80
NOTHING_OWED = (1012).to_bytes(2, "big") + b"service restart"
CROSSINGS = 3
"""How often one message may cross: more in a row are no accident. Chosen; each is a matter of microseconds."""


class Crossed(Lost):
    """The message met a close frame that says that the application was not given it."""


async def echo(client: Client) -> None:
    """One message on the open WebSocket, or on a new one."""
    decided_at = asyncio.get_running_loop().time()
    for _ in range(CROSSINGS):
        text = client.nonce()  # a new one each time: the journal must tell them apart
        try:
            await once(client, text, decided_at)
        except Crossed as crossed:
            client.tally.crossing.append(client.loss("WebSocket message", crossed, decided_at, 0.0, message=text))
            client.drop()
        else:
            return
    client.lose("WebSocket message", Lost("body", f"crossed {CROSSINGS} times"), decided_at, 0.0)


async def once(client: Client, text: str, decided_at: float) -> None:
    """One attempt; it is booked unless it crossed."""
    loop = asyncio.get_running_loop()
    what = "WebSocket message"
    try:
        async with asyncio.timeout(ANSWER_TIMEOUT_S):
            if client.wire is not None and await said_goodbye(client.wire):
                client.tally.announced_closes += 1
                client.drop()
            if client.wire is None:
                what = "WebSocket handshake"
                await shake_hands(client, await client.connection())
                client.tally.answered(client.kind, loop.time() - decided_at)
                what, decided_at = "WebSocket message", loop.time()
            wire = await client.connection()
            wire.phase = "send"
            wire.write(frame(client, TEXT, text.encode()))
            wire.phase = "head"
            opcode, payload = await next_message(client, wire)
            if opcode == CLOSE and payload == NOTHING_OWED:
                raise Crossed("body", "close 1012")
            if opcode != TEXT or payload != text.encode():
                raise Lost(
                    "body", f"close {close_code(payload)}" if opcode == CLOSE else f"another echo: {payload[:40]!r}"
                )
            wire.quiet_since = loop.time()
            client.tally.answered(client.kind, loop.time() - decided_at)
    except Crossed:
        raise
    except (Lost, TimeoutError) as error:
        client.lose(what, error, decided_at, 0.0)
        client.drop()


async def said_goodbye(wire: Wire) -> bool:
    """True if the connection is at its end: a close frame has come, or a FIN."""
    while wire.has_unread():
        await asyncio.sleep(0)  # the bytes are in our kernel; the event loop reads them in its next turn
    return wire.is_ended() or (bool(wire.buffer) and wire.buffer[0] & 0x0F == CLOSE)


async def shake_hands(client: Client, wire: Wire) -> None:
    key = base64.b64encode(client.rng.randbytes(16)).decode()
    wire.write(
        client.head(
            *("GET", f"/echo?n={client.nonce()}", "connection: Upgrade", "upgrade: websocket"),
            *("sec-websocket-version: 13", f"sec-websocket-key: {key}"),
        )
    )
    status, fields = await wire.head(informational=(101,))
    expected = base64.b64encode(hashlib.sha1((key + GUID).encode(), usedforsecurity=False).digest()).decode()
    if status != 101:
        raise Lost("head", f"status {status}")
    if fields.get("sec-websocket-accept") != expected:
        raise Lost("head", "a wrong Sec-WebSocket-Accept")
    if "x-pid" in fields:  # granian drops an application's headers here
        wire.pid = int(fields["x-pid"])
        client.tally.pids.add(wire.pid)


def frame(client: Client, opcode: int, payload: bytes) -> bytes:
    """One masked frame of at most 125 bytes."""
    mask = client.rng.randbytes(4)
    masked = bytes(byte ^ mask[index % 4] for index, byte in enumerate(payload))
    return bytes((FIN | opcode, MASKED | len(payload))) + mask + masked


async def next_message(client: Client, wire: Wire) -> tuple[int, bytes]:
    """Opcode and payload of the next frame that is no ping or pong; pings are answered."""
    while True:
        first, length = await wire.take(2)
        wire.phase = "body"
        if length > 125:
            raise Lost("body", "a frame longer than what was sent")
        payload = await wire.take(length)
        if first & 0x0F == PING:
            wire.write(frame(client, PONG, payload))
        elif first & 0x0F != PONG:
            return first & 0x0F, payload


def close_code(payload: bytes) -> int:
    return int.from_bytes(payload[:2], "big") if len(payload) >= 2 else 1005
