"""CPU per delivered WebSocket message, ours against the peers': python -m tests.bench.websocket_echo --peers DIRECTORY.

As tests.bench.hello: the servers take turns on the first CPU, the client has the last; medians of alternating rounds,
of user and system time of the server and its children. 32 connections. Echo: a frame on each, then the 32 answers,
again and again; with permessage-deflate, too (a text of words, at each server's default settings). Broadcast: a frame
on one, and all 32 read it.
"""

from __future__ import annotations

import argparse
import os
import random
import socket
import statistics
import zlib
from collections.abc import Callable
from pathlib import Path

from tests.bench.apps import Message, Receive, Send
from tests.bench.hello import cpu_seconds, start
from tests.bench.process_tree import free_port
from tests.bench.websocket_frames import CONNECTIONS, CPUS, SIZES, NotAgreed, client_frame, connect, exchange
from tests.bench.websocket_servers import SERVERS, command

APP = "tests.bench.websocket_echo:app"
ROOM: set[Send] = set()
Load = Callable[[list[socket.socket], int], None]


async def app(scope: Message, receive: Receive, send: Send) -> None:
    """Echoes what is binary, and sends what is text to everybody."""
    assert scope["type"] == "websocket"
    await receive()
    await send({"type": "websocket.accept"})
    ROOM.add(send)
    try:
        while (message := await receive())["type"] == "websocket.receive":
            if (data := message.get("bytes")) is not None:
                await send({"type": "websocket.send", "bytes": data})
            else:
                for member in ROOM:
                    await member({"type": "websocket.send", "text": message["text"]})
    finally:
        ROOM.discard(send)


def echo(size: int) -> Load:
    frame = client_frame(size)
    return lambda socks, messages: exchange(socks, frame, messages)


def broadcast(size: int) -> Load:
    frame = bytes((0x81, 0x80 | size)) + bytes(4) + b"x" * size

    def load(socks: list[socket.socket], messages: int) -> None:
        for _ in range(messages // len(socks)):
            socks[0].sendall(frame)
            for sock in socks:
                sock.recv(size + 2, socket.MSG_WAITALL)

    return load


def deflated(size: int) -> Load:
    words, chance = [b"the", b"quick", b"brown", b"fox", b"jumps"], random.Random(0)
    text = b" ".join(chance.choices(words, k=size))[:size]
    squeezer = zlib.compressobj(wbits=-12)
    payload = (squeezer.compress(text) + squeezer.flush(zlib.Z_SYNC_FLUSH))[:-4]
    length = bytes((0x80 | len(payload),)) if len(payload) < 126 else b"\xfe" + len(payload).to_bytes(2, "big")
    frame = b"\xc2" + length + bytes(4) + payload

    def load(socks: list[socket.socket], messages: int) -> None:
        for _ in range(messages // len(socks)):
            for sock in socks:
                sock.sendall(frame)
            for sock in socks:
                size = sock.recv(2, socket.MSG_WAITALL)[1]
                size = size if size < 126 else int.from_bytes(sock.recv(2, socket.MSG_WAITALL), "big")
                sock.recv(size, socket.MSG_WAITALL)

    return load


LOADS: dict[str, tuple[Load, int, str]] = {
    "echo 64 B": (echo(SIZES[0]), 1, ""),
    "echo 16 KiB": (echo(SIZES[1]), 4, ""),
    "broadcast 64 B": (broadcast(SIZES[0]), 1, ""),
    "deflate 64 B": (deflated(SIZES[0]), 2, "permessage-deflate"),
    "deflate 16 KiB": (deflated(SIZES[1]), 8, "permessage-deflate"),
}
"""Name -> the load, what its number of messages is divided by, and the extension that is offered."""


def tree_cpu_seconds(pid: int) -> float:
    """Of a process and its children."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return cpu_seconds(pid) + sum(tree_cpu_seconds(int(child)) for child in children)


def measure(started: list[str], port: int, load: Load, messages: int, extension: str) -> float:
    server = start(started, port, CPUS[0])
    try:
        socks = [connect(port, extension) for _ in range(CONNECTIONS)]
        load(socks, messages // 10)
        before = tree_cpu_seconds(server.pid)
        load(socks, messages)
        spent = tree_cpu_seconds(server.pid) - before
        for sock in socks:
            sock.close()
    except NotAgreed:
        return float("nan")
    finally:
        server.terminate()
        server.wait()
    return spent / messages * 1e6


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--peers", help="directory of the peers' programs; without it only we are measured")
    parser.add_argument("--server", action="append", choices=list(SERVERS), help="only this one; may be repeated")
    parser.add_argument("--load", action="append", choices=list(LOADS), help="only this one; may be repeated")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--messages", type=int, default=60000, help="of 64 bytes; a part of it of the longer ones")
    options = parser.parse_args()
    os.sched_setaffinity(0, {CPUS[-1]})
    servers = [name for name in options.server or SERVERS if options.peers or name == "supervisor-d"]
    loads = options.load or list(LOADS)
    figures: dict[tuple[str, str], list[float]] = {}
    for _ in range(options.rounds):
        for name in loads:
            load, divisor, extension = LOADS[name]
            for server in servers:
                port = free_port()
                started = command(server, APP, port, options.peers)
                spent = measure(started, port, load, options.messages // divisor, extension)
                figures.setdefault((server, name), []).append(spent)
    print(f"{'CPU us per message':28}" + "".join(f"{name:>16}" for name in loads))
    for server in servers:
        print(f"{server:28}" + "".join(f"{statistics.median(figures[server, name]):16.1f}" for name in loads))


if __name__ == "__main__":
    main()
