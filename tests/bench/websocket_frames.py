"""WebSocket frame machines compared: CPU microseconds per echoed message, after the handshake, on uvloop.

`python -m tests.bench.websocket_frames [--rounds 3] [--messages 40000]`. Each machine serves 32 connections in a
process of its own, pinned to the first CPU; this process, on the last one, sends a frame on each and reads the 32
answers, again and again. The figure is (user + system time of the server) / messages, the median of alternating
rounds. The floor is uvloop that answers what it was sent. A machine that is not installed is left out.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import contextlib
import hashlib
import importlib
import multiprocessing
import os
import socket
import statistics
import sys
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import cast

import uvloop

CONNECTIONS = 32
SIZES = (64, 16384)
CPUS = sorted(os.sched_getaffinity(0))
GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
Echo = Callable[[bytes], bytes]


def accept_of(request: bytes) -> bytes:
    key = next(line for line in request.split(b"\r\n") if line.lower().startswith(b"sec-websocket-key")).split(b": ")[1]
    digest = base64.b64encode(hashlib.sha1(key + GUID).digest())
    return (
        b"HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: upgrade\r\n"
        b"sec-websocket-accept: " + digest + b"\r\n\r\n"
    )


def websockets_echo() -> Echo:
    from websockets.frames import BINARY, Frame
    from websockets.protocol import SERVER, Protocol

    machine = Protocol(SERVER, max_size=2**24)

    def echo(data: bytes) -> bytes:
        machine.receive_data(data)
        for frame in machine.events_received():
            if isinstance(frame, Frame) and frame.opcode is BINARY:
                machine.send_binary(frame.data)
        return b"".join(machine.data_to_send())

    return echo


def wsproto_echo() -> Echo:
    wsproto = importlib.import_module("wsproto")
    events = importlib.import_module("wsproto.events")
    machine = importlib.import_module("wsproto.connection").Connection(wsproto.ConnectionType.SERVER)

    def echo(data: bytes) -> bytes:
        machine.receive_data(data)
        out = b""
        for event in machine.events():
            if isinstance(event, events.BytesMessage):
                out += machine.send(events.BytesMessage(bytes(event.data), message_finished=event.message_finished))
        return out

    return echo


def ours_echo() -> Echo:
    from server_core.websocket.codec import FrameCodec

    parts: list[bytes] = []

    def answer(data: bytes | str) -> None:
        out = machine.message(data)
        parts.append(out if isinstance(out, bytes) else b"".join(out))

    machine = FrameCodec(answer, max_size=2**24, deflate=None)

    def echo(data: bytes) -> bytes:
        machine.receive(data)
        out = b"".join(parts)
        parts.clear()
        return out

    return echo


def floor_echo() -> Echo:
    """What the client sends is masked; what comes back has the length of the unmasked frame, as everybody's has."""
    return lambda data: data[4:]


class Server(asyncio.Protocol):
    """The handshake, and then whatever the machine says."""

    def __init__(self, make: Callable[[], Echo]) -> None:
        self._make = make
        self._echo: Echo | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._write = cast(asyncio.Transport, transport).write  # uvloop's transports are no subclass

    def data_received(self, data: bytes) -> None:
        if self._echo is None:
            self._echo = self._make()
            self._write(accept_of(data))
        elif out := self._echo(data):
            self._write(out)


async def serve_machine(make: Callable[[], Echo], sock: socket.socket) -> None:
    server = await asyncio.get_running_loop().create_server(lambda: Server(make), sock=sock)
    await server.serve_forever()


async def serve_picows(sock: socket.socket) -> None:
    picows = importlib.import_module("picows")

    class Listener(picows.WSListener):  # type: ignore[name-defined,misc]
        def on_ws_frame(self, transport, frame) -> None:  # type: ignore[no-untyped-def]
            transport.send(frame.msg_type, frame.get_payload_as_bytes())

    server = await picows.ws_create_server(lambda _: Listener(), sock=sock)
    await server.serve_forever()


MACHINES: dict[str, tuple[str, Callable[[], Echo] | None]] = {
    "floor": ("uvloop", floor_echo),
    "picows' own server": ("picows", None),
    "websockets": ("websockets", websockets_echo),
    "ours": ("server_core.websocket.codec", ours_echo),
    "wsproto": ("wsproto", wsproto_echo),
}


def work(name: str, sock: socket.socket, told: Connection, theirs: Connection) -> None:
    theirs.close()  # so that its end is heard when the bench is killed
    os.sched_setaffinity(0, {CPUS[0]})
    make = MACHINES[name][1]

    def tell() -> None:
        try:
            told.recv()
        except EOFError:
            sys.exit()
        told.send(time.process_time())

    async def main() -> None:
        asyncio.get_running_loop().add_reader(told.fileno(), tell)
        await (serve_picows(sock) if make is None else serve_machine(make, sock))

    with contextlib.suppress(KeyboardInterrupt):
        uvloop.run(main())


def client_frame(size: int) -> bytes:
    """A binary frame, masked with a key that is not zero."""
    mask, payload = b"\x37\xfa\x21\x3d", bytes(range(256)) * (size // 256) or bytes(size)
    masked = bytes(byte ^ mask[index % 4] for index, byte in enumerate(payload))
    length = bytes((0x80 | size,)) if size < 126 else b"\xfe" + size.to_bytes(2, "big")
    return b"\x82" + length + mask + masked


class NotAgreed(Exception):
    """The server does not do the extension."""


def connect(port: int, extension: str = "") -> socket.socket:
    offer = f"Sec-WebSocket-Extensions: {extension}\r\n".encode() if extension else b""
    sock = socket.create_connection(("127.0.0.1", port))
    sock.sendall(
        b"GET / HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n%b\r\n" % offer
    )
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        head += sock.recv(1)
    if extension.encode() not in head:
        sock.close()
        raise NotAgreed
    return sock


def exchange(socks: list[socket.socket], frame: bytes, messages: int) -> None:
    answer = len(frame) - 4
    for _ in range(messages // len(socks)):
        for sock in socks:
            sock.sendall(frame)
        for sock in socks:
            sock.recv(answer, socket.MSG_WAITALL)


def measure(name: str, size: int, messages: int) -> float:
    """CPU microseconds per message of one round in a fresh process."""
    with socket.create_server(("127.0.0.1", 0), backlog=64) as listener:
        context = multiprocessing.get_context("fork")
        here, there = context.Pipe()
        process = context.Process(target=work, args=(name, listener, there, here), daemon=True)
        process.start()
        socks = [connect(listener.getsockname()[1]) for _ in range(CONNECTIONS)]
        frame = client_frame(size)
        exchange(socks, frame, messages // 10)
        here.send(None)
        before: float = here.recv()
        exchange(socks, frame, messages)
        here.send(None)
        spent: float = here.recv() - before
        process.terminate()
        process.join()
        for sock in socks:
            sock.close()
        here.close()
        there.close()
    return spent / messages * 1e6


def installed(module: str) -> bool:
    try:
        importlib.import_module(module)
    except ImportError:
        return False
    return True


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--messages", type=int, default=40000, help="of 64 bytes; an eighth of it of 16 KiB")
    options = parser.parse_args()
    names = [name for name, (module, _) in MACHINES.items() if installed(module)]
    os.sched_setaffinity(0, {CPUS[-1]})
    figures: dict[tuple[str, int], list[float]] = {}
    for _ in range(options.rounds):
        for size in SIZES:
            for name in names:
                messages = options.messages if size == SIZES[0] else options.messages // 8
                figures.setdefault((name, size), []).append(measure(name, size, messages))
    print(f"{'CPU us per message':24}" + "".join(f"{size:>10} B" for size in SIZES))
    for name in names:
        print(f"{name:24}" + "".join(f"{statistics.median(figures[name, size]):12.2f}" for size in SIZES))


if __name__ == "__main__":
    main()
