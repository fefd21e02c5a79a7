"""What a line of the access log costs, by format: CPU per request with it off and on: python -m tests.bench.access_log.

All servers live in this process and take turns every few hundred requests, on connections whose transport keeps
nothing, so that the machine's noise, which comes in waves, meets all of them alike. Lines are written to files.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import tempfile
import time
from pathlib import Path

import uvloop

from server_core.http1.connection import Http1Connection
from server_core.server.server import Server
from server_core.settings.declaration import ServerSettings
from tests.bench import apps
from tests.helpers.http import Heard, PipeTransport

HELLO = b"GET / HTTP/1.1\r\nHost: example.org\r\n\r\n"
BROWSER = (
    b"GET /path?query=1 HTTP/1.1\r\nHost: example.org\r\n"
    b"User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0\r\nAccept: text/html\r\n"
    b"Accept-Encoding: gzip, br\r\nAccept-Language: en\r\nCookie: session=0123456789abcdef\r\n"
    b"Referer: http://example.org/\r\nDNT: 1\r\n\r\n"
)
TURN = 200
"""Requests of one server before the next one's turn: a few milliseconds."""


class Sink(PipeTransport):
    """Forgets what is written."""

    def write(self, data: bytes | bytearray | memoryview) -> None:
        pass


class Contender:
    """One server, and the CPU time it took."""

    def __init__(self, settings: ServerSettings) -> None:
        self.server = Server(apps.hello, settings, asyncio.get_running_loop(), log=Heard())
        self._transport = Sink(Http1Connection(self.server, self.server.http1, ("192.0.2.1", 50000)))
        self.turns_s: list[float] = []

    async def take_turn(self, request: bytes) -> None:
        loop = asyncio.get_running_loop()
        began_at = time.process_time()
        for _ in range(TURN):
            self._transport.feed(request)
            turned = loop.create_future()
            loop.call_soon(turned.set_result, None)
            await turned
        self.server.sweep(loop.time())
        self.turns_s.append(time.process_time() - began_at)


async def compare(formats: list[str], request: bytes, seconds: float) -> None:
    with tempfile.TemporaryDirectory() as directory:
        contenders = {"off": Contender(ServerSettings())}
        for number, form in enumerate(formats):
            path = str(Path(directory, str(number)))
            contenders[form] = Contender(ServerSettings(access_log=path, access_log_format=form))
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            for contender in contenders.values():
                await contender.take_turn(request)
        for contender in contenders.values():
            contender.server.close()
    off = contenders.pop("off")
    print(f"{'off':10} {statistics.median(off.turns_s) / TURN * 1e6:6.2f} us/request, turns: {len(off.turns_s)}")
    for form, contender in contenders.items():
        costs = [on - base for on, base in zip(contender.turns_s, off.turns_s, strict=True)]
        least = min(contender.turns_s) - min(off.turns_s)
        print(
            f"{form:10} median {statistics.median(costs) / TURN * 1e6:+.2f}, of the least {least / TURN * 1e6:+.2f} us"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--formats", nargs="+", default=["gunicorn", "uvicorn", "common", "console", "json"])
    parser.add_argument("--seconds", type=float, default=8.0)
    parser.add_argument("--browser", action="store_true", help="requests with the fields that a browser sends")
    options = parser.parse_args()
    uvloop.run(compare(options.formats, BROWSER if options.browser else HELLO, options.seconds))


if __name__ == "__main__":
    main()
