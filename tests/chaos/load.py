"""The load: kinds of clients, each a loop of request, check, pause.  What counts as lost: client.py and tally.py."""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import Awaitable, Callable, Mapping

from tests.apps.chaos_app import digest_body, hello_body, stream_piece
from tests.chaos.client import Ask, Client
from tests.chaos.tally import Tally
from tests.chaos.websocket import echo
from tests.chaos.wire import Address

OWN_STALL_INTERVAL_S = 0.005
"""How often the client measures its own event loop: a stall of ours must not be booked as one of the server's."""


async def one_shot(client: Client) -> None:
    """A new connection for every request; every other one says so."""
    nonce = client.nonce()
    last = client.asked % 2 == 1
    head = client.head("GET", f"/hello?n={nonce}", *(("connection: close",) if last else ()))
    await client.ask(Ask("GET /hello", (head,), hello_body(nonce), last=last))
    client.drop()
    await client.pause(0.010, 0.090)


async def get(client: Client) -> None:
    nonce = client.nonce()
    await client.ask(Ask("GET /hello", (client.head("GET", f"/hello?n={nonce}"),), hello_body(nonce)))
    await client.pause(0.0, 0.040)


async def idle_get(client: Client) -> None:
    """Long pauses, around and beyond what a draining server waits before it closes an idle connection."""
    nonce = client.nonce()
    await client.ask(Ask("GET /hello", (client.head("GET", f"/hello?n={nonce}"),), hello_body(nonce)))
    await client.pause(0.2, 7.0)


def post(client: Client, body: bytes, pieces: int, *, between_s: float, times: str) -> Ask:
    """A POST of this body; every other one is chunked, the rest have a Content-Length."""
    nonce = client.nonce()
    expected = digest_body(nonce, len(body), zlib.crc32(body))
    size = max(1, -(-len(body) // pieces))
    parts = [body[at : at + size] for at in range(0, len(body), size)]
    if client.asked % 2:
        head = client.head("POST", f"/digest?n={nonce}", "transfer-encoding: chunked")
        parts = [b"%x\r\n%s\r\n" % (len(part), part) for part in parts]
        parts.append(b"0\r\n\r\n")
    else:
        head = client.head("POST", f"/digest?n={nonce}", f"content-length: {len(body)}")
    return Ask("POST /digest", (head, *parts), expected, between_s, times)


async def kept_post(client: Client) -> None:
    size = client.rng.choice((0, 10, 1000, 10_000, 20_000, 200_000))
    await client.ask(post(client, client.rng.randbytes(size), 4, between_s=0.0, times="whole"))
    await client.pause(0.005, 0.060)


async def pair(client: Client) -> None:
    """Two requests in one segment: a GET and a small POST, so that order and framing both show."""
    nonce = client.nonce()
    first = Ask("GET /hello, first of a pair", (client.head("GET", f"/hello?n={nonce}"),), hello_body(nonce))
    nonce = client.nonce()
    body = nonce.encode()
    head = client.head("POST", f"/digest?n={nonce}", f"content-length: {len(body)}")
    expected = digest_body(nonce, len(body), zlib.crc32(body))
    await client.ask(first, Ask("POST /digest, second of a pair", (head, body), expected))
    await client.pause(0.010, 0.100)


async def upload(client: Client) -> None:
    """A body that takes a second or two to arrive."""
    body = client.rng.randbytes(client.rng.randrange(8_000, 60_000))
    await client.ask(post(client, body, 8, between_s=client.rng.uniform(0.02, 0.25), times="upload"))
    await client.pause(0.0, 0.3)


async def download(client: Client) -> None:
    """A response that takes a second or two to be produced, every byte of it known."""
    nonce, pieces, size = client.nonce(), client.rng.randrange(10, 40), client.rng.randrange(500, 6000)
    target = f"/stream?n={nonce}&pieces={pieces}&bytes={size}&every_s={client.rng.uniform(0.01, 0.08):.3f}"
    expected = b"".join(stream_piece(nonce, index, size) for index in range(pieces))
    await client.ask(Ask("GET /stream", (client.head("GET", target),), expected, times="nothing"))
    await client.pause(0.0, 0.3)


async def websocket(client: Client) -> None:
    await echo(client)
    await client.pause(0.02, 0.3)


KINDS: Mapping[str, Callable[[Client], Awaitable[None]]] = {
    "one-shot": one_shot,
    "kept GET": get,
    "idle GET": idle_get,
    "kept POST": kept_post,
    "pipelined": pair,
    "upload": upload,
    "download": download,
    "WebSocket": websocket,
}
"""Name of a kind -> one turn of it. A further kind is one more row (and a number of clients in MIX)."""

MIX: Mapping[str, int] = {
    "one-shot": 6,
    "kept GET": 12,
    "idle GET": 24,
    "kept POST": 6,
    "pipelined": 3,
    "upload": 4,
    "download": 4,
    "WebSocket": 6,
}
"""Clients of each kind: about 1,000 requests a second where the server keeps up; chosen to leave half of a two-core
machine to the server and to the starting of interpreters, so that latency shows the server's doing, not the queue."""


class Load:
    """All clients against one address, from start to stop."""

    def __init__(self, address: Address, tally: Tally, *, mix: Mapping[str, int] = MIX, seed: int = 0) -> None:
        self.tally = tally
        self.running = False
        self._clients = [
            Client(address, tally, kind, number, seed=seed) for kind, count in mix.items() for number in range(count)
        ]
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        self.running = True
        self._tasks = [asyncio.create_task(self._turns(client)) for client in self._clients]
        self._tasks.append(asyncio.create_task(self._measure_own_stalls()))

    async def stop(self) -> None:
        """Begins no further request; every one under way is finished and booked."""
        self.running = False
        for client, task in zip(self._clients, self._tasks, strict=False):
            if client.pausing:
                task.cancel()
        results = await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks = []
        for client in self._clients:
            client.drop()
        for result in results:
            if isinstance(result, Exception):
                raise result

    async def _turns(self, client: Client) -> None:
        await client.pause(0.0, 0.5)  # all clients at once would be a burst of our own making
        turn = KINDS[client.kind]
        while self.running and not client.retired:
            await turn(client)

    async def _measure_own_stalls(self) -> None:
        loop = asyncio.get_running_loop()
        due_at = loop.time()
        while self.running:
            due_at = loop.time() + OWN_STALL_INTERVAL_S
            await asyncio.sleep(OWN_STALL_INTERVAL_S)
            self.tally.own_stall_s = max(self.tally.own_stall_s, loop.time() - due_at)
