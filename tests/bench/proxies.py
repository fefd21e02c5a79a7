"""What proxies cost, in CPU per request and in memory per silent connection: python -m tests.bench.proxies

In one process and without sockets for the requests, so that the parts are seen that the kernel's would hide: request
bytes go into a connection, response bytes come out. The ways take turns, and the medians of all rounds are compared.
"""

from __future__ import annotations

import argparse
import asyncio
import resource
import socket
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import uvloop

from server_core.http1.connection import Http1Connection
from server_core.server.server import Server
from server_core.settings.declaration import ServerSettings
from tests.bench import apps
from tests.helpers.http import Heard, PipeTransport, until

PEER = ("127.0.0.1", 5)
FORWARDED = b"X-Forwarded-For: 198.18.%d.%d\r\nX-Forwarded-Proto: https\r\n"
RFC_7239 = b'Forwarded: for="[2001:db8::%x]:4711";proto=https;host="shop.example"\r\n'


@dataclass(frozen=True, slots=True)
class Way:
    """One way to be asked: settings, and the fields of request number n."""

    name: str
    fields: Callable[[int], bytes] = lambda _: b""
    settings: dict[str, str] = field(default_factory=dict)


UNTRUSTED = {"forwarded_allow_ips": "10.0.0.1"}
RFC = {"forwarded_headers": "forwarded"}
IDS = {"request_id": "X-Request-ID"}
WAYS = (
    Way("plain"),
    Way("X-Forwarded-For and -Proto, the same client again", lambda _: FORWARDED % (9, 9)),
    Way("X-Forwarded-For and -Proto, not seen before", lambda n: FORWARDED % (n >> 8 & 255, n & 255)),
    Way("the same headers from a peer that is not trusted", lambda _: FORWARDED % (9, 9), UNTRUSTED),
    Way("Forwarded, the same client again", lambda _: RFC_7239 % 9, RFC),
    Way("Forwarded, not seen before", lambda n: RFC_7239 % (n % 65536), RFC),
    Way("request ids made", settings=IDS),
    Way("request ids taken", lambda n: b"X-Request-ID: %032x\r\n" % n, IDS),
)


async def cpu_us(way: Way, requests: int, first: int) -> float:
    """CPU microseconds per request."""
    loop = asyncio.get_running_loop()
    server = Server(apps.hello, ServerSettings(**way.settings), loop, log=Heard())  # type: ignore[arg-type]  # texts all
    transport = PipeTransport(Http1Connection(server, server.http1, PEER))
    heads = [b"GET / HTTP/1.1\r\nHost: x\r\n%b\r\n" % way.fields(first + number) for number in range(requests)]
    before = time.process_time()
    for head in heads:
        transport.feed(head)
        await asyncio.sleep(0)
        transport.written = b""
    return (time.process_time() - before) * 1e6 / requests


def resident_kib() -> float:
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize() / 1024


async def silent_kib(connections: int, proxy_protocol: bool) -> float:
    """Memory of a connection that has not said anything yet."""
    loop = asyncio.get_running_loop()
    server = Server(apps.hello, ServerSettings(proxy_protocol=proxy_protocol), loop, log=Heard())
    with socket.create_server(("127.0.0.1", 0), backlog=connections) as listener:
        server.listen(listener.dup())
        clients = [socket.create_connection(listener.getsockname()) for _ in range(connections)]
        before = resident_kib()
        server.serve()
        await until(lambda: len(server.listeners.adopting if proxy_protocol else server.connections) == connections)
        grown = resident_kib() - before
        for client in clients:
            client.close()
        await server.drain(0.0, final=True)
        server.abort()
        await until(lambda: not server.connections and not server.listeners.adopting)
    return grown / connections


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--requests", type=int, default=4000, help="in each round")
    parser.add_argument("--silent", type=int, default=2000, help="silent connections")
    options = parser.parse_args()
    resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
    for proxy_protocol in (False, True):  # first, on fresh memory
        kib = await silent_kib(options.silent, proxy_protocol)
        print(f"{kib:6.1f} KiB a silent connection, PROXY protocol {'on' if proxy_protocol else 'off'}")
    rounds: dict[str, list[float]] = {way.name: [] for way in WAYS}
    for number in range(options.rounds):
        for way in WAYS:
            rounds[way.name].append(await cpu_us(way, options.requests, number * options.requests))
    plain = statistics.median(rounds["plain"])
    for name, figures in rounds.items():
        median = statistics.median(figures)
        print(f"{median:6.2f} us CPU ({median - plain:+5.2f})  {name}")


if __name__ == "__main__":
    uvloop.run(main())
