"""Thousands of clients that take their time, as a process of their own, so that they take none from who measures.

python -m tests.bench.crowd PORT KIND [--connections N] [--rate N] [--tls] opens them, so many a second, and says how
many came in: the first that has to wait for too long is the last. Then each sends a byte more every --interval seconds,
where its kind does that, until standard input ends. Told at the end is how many of them the server has kept.
"""

from __future__ import annotations

import argparse
import contextlib
import select
import socket
import ssl
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

Sock = socket.socket | ssl.SSLSocket

TIMEOUT_S: Final = 5.0
"""For who is not let in, or not answered."""


@dataclass(frozen=True, slots=True)
class Kind:
    """What such a client sends at first, and what over and over."""

    first: bytes = b""
    then: bytes = b""
    shakes_hands: bool = True
    reads: bool = False


HEAD: Final = b"GET /%s HTTP/1.1\r\nHost: localhost\r\n"
KINDS: Final[Mapping[str, Kind]] = {
    "unshaken": Kind(shakes_hands=False),  # over TLS: not even a handshake
    "silent": Kind(),
    "slow headers": Kind(HEAD % b"" + b"X-Slow: ", b"x"),
    "slow body": Kind(HEAD.replace(b"GET", b"POST") % b"" + b"Content-Length: 8192\r\n\r\n", b"x"),
    "idle": Kind(HEAD % b"" + b"\r\n", reads=True),
}


def connect(port: int, kind: Kind, context: ssl.SSLContext | None) -> Sock:
    sock: Sock = socket.create_connection(("127.0.0.1", port), timeout=TIMEOUT_S)
    if context is not None and kind.shakes_hands:
        sock = context.wrap_socket(sock, server_hostname="localhost")
    if kind.first:
        sock.sendall(kind.first)
    if kind.reads:
        sock.recv(4096)
    return sock


def gather(options: argparse.Namespace, context: ssl.SSLContext | None) -> list[Sock]:
    """All of them, or as many as the server takes; at the rate that was asked for, or as fast as it takes them."""
    began = time.monotonic()
    socks: list[Sock] = []
    for number in range(options.connections):
        time.sleep(max(0.0, began + number / options.rate - time.monotonic()))
        try:
            socks.append(connect(options.port, KINDS[options.kind], context))
        except OSError:
            break
    return socks


def is_closed(sock: Sock) -> bool:
    """Whether the server has; what it has sent otherwise (session tickets, a 408) does not matter."""
    sock.setblocking(False)
    try:
        while sock.recv(4096):
            pass
    except (BlockingIOError, ssl.SSLWantReadError):
        return False
    except OSError:
        return True
    return True


def trickle(socks: Sequence[Sock], kind: Kind, interval_s: float) -> None:
    """A byte from each in each interval, spread over it, until standard input ends."""
    while True:
        began = time.monotonic()
        for number, sock in enumerate(socks):
            due = began + interval_s * number / len(socks)
            if select.select([sys.stdin], [], [], max(0.0, due - time.monotonic()))[0]:
                return
            if kind.then:
                with contextlib.suppress(OSError):  # closed by the server: counted at the end
                    sock.send(kind.then)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("port", type=int)
    parser.add_argument("kind", choices=list(KINDS))
    parser.add_argument("--connections", type=int, default=5000)
    parser.add_argument("--rate", type=float, default=500.0, help="connections a second")
    parser.add_argument("--interval", type=float, default=5.0)
    parser.add_argument("--tls", action="store_true")
    options = parser.parse_args()
    context = None
    if options.tls:
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    socks = gather(options, context)
    print(len(socks), flush=True)
    trickle(socks, KINDS[options.kind], options.interval)
    print(sum(not is_closed(sock) for sock in socks), flush=True)
    for sock in socks:
        sock.close()


if __name__ == "__main__":
    main()
