"""CPU per echoed WebSocket message, ours against uvicorn's: python -m tests.bench.websocket_echo --uvicorn PYTHON.

As tests.bench.hello: the servers take turns on the first CPU, the client has the last; medians of alternating rounds.
32 connections without compression; a frame on each, then the 32 answers, again and again.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys

from server_core.http.exchange import Receive, Send
from tests.bench.hello import cpu_seconds, free_port, start
from tests.bench.websocket_frames import CONNECTIONS, CPUS, SIZES, client_frame, connect, exchange

APP = "tests.bench.websocket_echo:app"


async def app(_scope: object, receive: Receive, send: Send) -> None:
    """Echoes what is binary."""
    await receive()
    await send({"type": "websocket.accept"})
    while (message := await receive())["type"] == "websocket.receive":
        await send({"type": "websocket.send", "bytes": message["bytes"]})


def commands(options: argparse.Namespace) -> dict[str, list[str]]:
    ours = [sys.executable, "-m", "server_core", APP, "--lifespan", "off", "--log-level", "error", "--port"]
    found = {"ours": ours}
    if options.uvicorn:
        theirs = [options.uvicorn, "-m", "uvicorn", APP, "--lifespan", "off", "--log-level", "error", "--ws"]
        for kind in ("websockets-sansio", "wsproto"):
            found[f"uvicorn {kind}"] = [*theirs, kind, "--port"]
    return found


def measure(command: list[str], size: int, messages: int) -> float:
    port = free_port()
    server = start([*command, str(port)], port, CPUS[0])
    try:
        socks = [connect(port) for _ in range(CONNECTIONS)]
        frame = client_frame(size)
        exchange(socks, frame, messages // 10)
        before = cpu_seconds(server.pid)
        exchange(socks, frame, messages)
        spent = cpu_seconds(server.pid) - before
        for sock in socks:
            sock.close()
    finally:
        server.terminate()
        server.wait()
    return spent / messages * 1e6


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--uvicorn", help="the Python that has uvicorn, uvloop, websockets and wsproto")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--messages", type=int, default=60000, help="of 64 bytes; a quarter of it of 16 KiB")
    options = parser.parse_args()
    os.sched_setaffinity(0, {CPUS[-1]})
    figures: dict[tuple[str, int], list[float]] = {}
    for _ in range(options.rounds):
        for size in SIZES:
            for name, command in commands(options).items():
                messages = options.messages if size == SIZES[0] else options.messages // 4
                figures.setdefault((name, size), []).append(measure(command, size, messages))
    print(f"{'CPU us per message':28}" + "".join(f"{size:>10} B" for size in SIZES))
    for name in commands(options):
        print(f"{name:28}" + "".join(f"{statistics.median(figures[name, size]):12.1f}" for size in SIZES))


if __name__ == "__main__":
    main()
