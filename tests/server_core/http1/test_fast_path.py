"""What one request costs in calls: a ceiling that needs no clock, so that the fast path can not grow unnoticed.

Counted are the calls of functions of server_core, and the calls into C that they make; the event loop's and the
application's own are not. A count is the same on every machine and from CPython 3.11 to 3.15. Whoever raises a ceiling
says in the commit what the request gets for it, and what that costs in `python -m tests.bench.hello`.
"""

from __future__ import annotations

import asyncio
import sys
from collections import Counter
from pathlib import Path
from types import FrameType

import pytest

from server_core.connection.context import ServerContext
from server_core.http1.connection import Http1Connection
from server_core.server.server import Server
from server_core.settings.declaration import ServerSettings
from tests.bench import apps
from tests.helpers.http import PARSERS, Heard, PipeTransport

SERVER_CORE = str(Path(sys.modules[Server.__module__].__file__ or "").parents[1])
REQUESTS = 50
SLOW = ServerContext.count_duration.__qualname__
"""Called for requests of over a millisecond, so that how often is this machine's business: not counted."""

HELLO = b"GET / HTTP/1.1\r\nHost: example.org\r\n\r\n"
BROWSER = (
    b"GET /path?query=1 HTTP/1.1\r\nHost: example.org\r\nConnection: keep-alive\r\nCache-Control: max-age=0\r\n"
    b"User-Agent: Mozilla/5.0\r\nAccept: text/html\r\nAccept-Encoding: gzip, br\r\nAccept-Language: en\r\n"
    b"Cookie: session=0123456789abcdef\r\nReferer: http://example.org/\r\nDNT: 1\r\n\r\n"
)
POST = b"POST / HTTP/1.1\r\nHost: example.org\r\nContent-Length: 1024\r\n\r\n" + b"x" * 1024

OTHER_COOKIE = BROWSER.replace(b"0123456789abcdef", b"fedcba9876543210")

CEILINGS = {
    ("hello", "httptools"): 28,
    ("browser", "httptools"): 28,
    ("varied", "httptools"): 58,
    ("echo", "httptools"): 39,
    ("hello", "h11"): 28,
    ("browser", "h11"): 28,
    ("varied", "h11"): 71,
    ("echo", "h11"): 39,
}
LOADS = {
    "hello": (apps.hello, (HELLO,)),
    "browser": (apps.hello, (BROWSER,)),
    "varied": (apps.hello, (BROWSER, OTHER_COOKIE)),
    "echo": (apps.echo, (POST,)),
}
"""Fields that a connection's last request had are recognised; in `varied` they never are."""


def calls_per_request(app: object, requests: tuple[bytes, ...], parser: str) -> Counter[str]:
    """Calls by name for one request on a kept-alive connection, averaged over many; whole numbers where sound."""
    counts: Counter[str] = Counter()

    def count(frame: FrameType, event: str, argument: object) -> None:
        name = frame.f_code.co_qualname
        if name == SLOW or not frame.f_code.co_filename.startswith(SERVER_CORE):
            return
        if event == "call":
            counts[name] += 1
        elif event == "c_call":
            counts[f"{name} -> {getattr(argument, '__qualname__', argument)}"] += 1

    async def turn() -> None:
        turned = asyncio.get_running_loop().create_future()
        asyncio.get_running_loop().call_soon(turned.set_result, None)
        await turned

    async def scenario() -> None:
        loop = asyncio.get_running_loop()
        server = Server(app, ServerSettings(http=parser), loop, log=Heard())  # type: ignore[arg-type]  # an application
        transport = PipeTransport(Http1Connection(server, server.http1, ("192.0.2.1", 5)))
        for number in range(2 * REQUESTS):
            if number == REQUESTS:  # the first ones learn names, lines and heads
                sys.setprofile(count)
            transport.feed(requests[number % len(requests)])
            await turn()
            await turn()
        sys.setprofile(None)
        assert transport.written.count(b"HTTP/1.1 200 OK") == 2 * REQUESTS

    asyncio.run(scenario())
    return counts


@pytest.mark.parametrize("parser", PARSERS)
@pytest.mark.parametrize("load", LOADS)
def test_a_request_costs_no_more_calls_than_it_did(load: str, parser: str) -> None:
    counts = calls_per_request(*LOADS[load], parser)
    spent = sum(counts.values()) / REQUESTS
    told = "\n".join(f"{number / REQUESTS:7.2f} {name}" for name, number in counts.most_common())
    assert spent <= CEILINGS[load, parser], f"{spent} calls a request:\n{told}"
