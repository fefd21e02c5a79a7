"""Each request runs in a clean context, whichever way it came and whatever the one before it did; and no callback of
the server's keeps the context of a request.
"""

from __future__ import annotations

import asyncio
import resource
import socket
import ssl
from collections.abc import Awaitable, Callable
from typing import cast

import pytest

from server_core.http1.connection import Http1Connection
from server_core.proxy.protocol_header import V2_SIGNATURE
from tests.helpers.certificates import authority, localhost
from tests.helpers.contexts import LOOPS, NOBODY, USER, Marking, Watch, request, strangers
from tests.helpers.http import DEADLINE_S, PARSERS, Client, Served, serving, turn, until, within
from tests.helpers.websocket import CLOSE, TEXT, close_frame, frame, handshake, next_frame

PROXIED = V2_SIGNATURE + b"\x20\x00\x00\x00"
"""A PROXY header that tells no address."""
LAST = b"connection: close"


async def answered(client: Client, *paths: str) -> None:
    """Whole responses have come to these, in their order."""
    for path in paths:
        response = await client.response()
        assert response.body.decode() == ("late" if path.startswith("/late") else path)


def held(served: Served) -> bool:
    """Whether a connection holds bytes of a next request."""
    return any(isinstance(one, Http1Connection) and one.reader.held for one in served.server.connections)


# The ways in. Each makes at least two calls, of which a later one might begin in the context of one before.


async def on_new_connections(served: Served, _app: Marking) -> None:
    for number in range(5):
        client = await served.connect()
        client.send(request(f"/whole/{number}", LAST))
        await answered(client, f"/whole/{number}")


async def on_a_connection_that_is_kept_alive(served: Served, _app: Marking) -> None:
    client = await served.connect()
    for number in range(5):
        client.send(request(f"/whole/{number}"))
        await answered(client, f"/whole/{number}")


async def pipelined(served: Served, _app: Marking) -> None:
    client = await served.connect()
    paths = [f"/whole/{number}" for number in range(20)]
    client.send(b"".join(map(request, paths)))
    await answered(client, *paths)


async def behind_an_answer_that_is_not_quite_over(served: Served, app: Marking) -> None:
    """The client has the whole Content-Length, and asks again before the application's last message."""
    client = await served.connect()
    for number in range(5):
        app.gate.clear()
        client.send(request(f"/late/{number}"))
        await answered(client, "/late")
        client.send(request(f"/whole/{number}"))
        await until(lambda: held(served))
        app.gate.set()
        await answered(client, f"/whole/{number}")


async def pipelined_behind_answers_that_take_turns(served: Served, _app: Marking) -> None:
    client = await served.connect()
    client.send(request("/stream/1") + request("/stream/2") + request("/whole"))
    for _ in range(2):
        assert (await client.response()).body == b"x" * 10_000
    await answered(client, "/whole")


async def behind_a_client_that_half_closed(served: Served, app: Marking) -> None:
    client = await served.connect()
    client.send(request("/gated"))
    client.writer.write_eof()
    await until(lambda: app.waiting and all(one.half_closed for one in served.server.connections))  # type: ignore[union-attr]
    app.gate.set()
    await answered(client, "/gated")
    assert await client.rest() == b""
    await on_new_connections(served, app)


async def by_tls(served: Served, app: Marking) -> None:
    client = await served.connect(authority().client())
    paths = [f"/whole/{number}" for number in range(5)]
    client.send(b"".join(map(request, paths)))
    await answered(client, *paths)
    client.send(request("/late"))
    await answered(client, "/late")
    client.send(request("/whole", LAST))
    await until(lambda: held(served))
    app.gate.set()
    await answered(client, "/whole")
    again = await served.connect(authority().client())
    again.send(request("/whole"))
    await answered(again, "/whole")


async def upgraded(client: Client) -> None:
    """A WebSocket that is its own user from its first message to its last, and ends by the application's close."""
    assert (await client.response()).status == 101
    for said in (b"one", b"two", b"bye"):
        client.send(frame(TEXT, said))
        assert await next_frame(client) == (TEXT, said + b" /ws")
    assert (await next_frame(client))[0] == CLOSE
    client.send(close_frame(1000))
    assert await client.rest() == b""


async def by_websocket_behind_a_request(served: Served, app: Marking) -> None:
    client = await served.connect()
    client.send(request("/whole"))
    await answered(client, "/whole")
    client.send(handshake())
    await upgraded(client)
    pipelining = await served.connect()
    pipelining.send(request("/whole") + handshake())
    await answered(pipelining, "/whole")
    await upgraded(pipelining)
    await on_new_connections(served, app)


async def at_limit_connections(served: Served, app: Marking) -> None:
    """Each connection ends inside its request's task, which lets the next one in."""
    first = await served.connect()
    first.send(request("/gated/0", LAST))
    await until(lambda: app.waiting)
    waiting = [await served.connect() for _ in range(5)]
    for number, client in enumerate(waiting):
        client.send(request(f"/whole/{number}", LAST))
    await until(lambda: served.heard.all("connections.limited"))
    app.gate.set()
    await answered(first, "/gated/0")
    for number, client in enumerate(waiting):
        await answered(client, f"/whole/{number}")
    await on_new_connections(served, app)


async def when_descriptors_run_short(served: Served, app: Marking) -> None:
    first = await served.connect()
    first.send(request("/gated", LAST))
    await until(lambda: app.waiting)
    waiting = socket.create_connection(served.address)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (waiting.fileno() + 1, hard))
    try:
        await until(lambda: served.heard.all("accept.failed"))
        app.gate.set()
        await answered(first, "/gated")
        await until(lambda: not served.server.connections)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    client = Client(*await asyncio.open_connection(sock=waiting))
    served.clients.append(client)
    client.send(request("/whole", LAST))
    await answered(client, "/whole")
    await on_new_connections(served, app)


async def behind_evicted_connections(served: Served, app: Marking) -> None:
    """What room is made for comes in the place of clients that were served before."""
    idle = [await served.connect() for _ in range(3)]
    for number, client in enumerate(idle):
        client.send(request(f"/whole/{number}"))
        await answered(client, f"/whole/{number}")
    served.server.sweep(served.server.loop.time() + 5)  # longer ago than that they could be about to go on
    for number in range(3):
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        client = await served.connect()
        highest = client.writer.get_extra_info("socket").fileno()
        resource.setrlimit(resource.RLIMIT_NOFILE, (highest + 2, hard))
        served.server.room.renew()
        try:
            client.send(request(f"/whole/{number}", LAST))
            await answered(client, f"/whole/{number}")
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    await on_new_connections(served, app)


async def in_a_drain(served: Served, app: Marking) -> None:
    """One whose head went out before, one that asks while it may, one that waited in the accept queue."""
    late, idle = await served.connect(), await served.connect()
    idle.send(request("/whole/1"))
    await answered(idle, "/whole/1")
    late.send(request("/late"))
    await answered(late, "/late")
    waiting = socket.create_connection(served.address)
    draining = asyncio.create_task(served.server.drain(DEADLINE_S, final=True))
    app.gate.set()
    late.send(request("/whole/2"))
    await answered(late, "/whole/2")
    idle.send(request("/whole/3"))
    await answered(idle, "/whole/3")
    client = Client(*await asyncio.open_connection(sock=waiting))
    served.clients.append(client)
    client.send(request("/whole/4"))
    await answered(client, "/whole/4")
    assert await draining


async def after_parking(served: Served, app: Marking) -> None:
    await on_new_connections(served, app)
    served.server.park()
    served.server.serve()
    await on_new_connections(served, app)


async def behind_a_proxy(served: Served, _app: Marking) -> None:
    for number in range(3):
        client = await served.connect()
        client.send(PROXIED[:5])
        await turn()
        client.send(PROXIED[5:] + request(f"/whole/{number}", LAST))
        await answered(client, f"/whole/{number}")


TLS = {"ssl_certfile": (localhost().certificate,), "ssl_keyfile": (localhost().key,)}
Way = Callable[[Served, Marking], Awaitable[None]]
WAYS: dict[Way, dict[str, object]] = {
    on_new_connections: {},
    on_a_connection_that_is_kept_alive: {},
    pipelined: {},
    behind_an_answer_that_is_not_quite_over: {},
    pipelined_behind_answers_that_take_turns: {},
    behind_a_client_that_half_closed: {},
    by_tls: TLS,
    by_websocket_behind_a_request: {},
    at_limit_connections: {"limit_connections": 1},
    when_descriptors_run_short: {},
    behind_evicted_connections: {},
    in_a_drain: {"drain_spread": 1.0},
    after_parking: {},
    behind_a_proxy: {"proxy_protocol": True},
}


def run_watched(test: Callable[[], Awaitable[None]], loop: str) -> None:
    """Run a test on a loop that notes which callbacks of the server's run in a client's context."""
    with asyncio.Runner(loop_factory=LOOPS[loop]) as runner:
        watching = cast(Watch, runner.get_loop())
        runner.run(within(test()))
        assert watching.strayed == []


@pytest.mark.parametrize("parser", PARSERS)
@pytest.mark.parametrize("loop", LOOPS)
@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__)
def test_a_request_runs_in_no_other_ones_context(way: Way, loop: str, parser: str) -> None:
    async def scenario() -> None:
        app = Marking()
        async with serving(app, http=parser, **WAYS[way]) as served:
            await way(served, app)
            assert len(app.begun) > 1
            assert strangers(app.begun) == []
        assert len(app.kept) == len(app.begun)
        assert all(app.kept)

    run_watched(scenario, loop)


@pytest.mark.parametrize("loop", LOOPS)
def test_what_an_sni_callback_sets_is_for_its_own_handshake(loop: str) -> None:
    begun: list[str] = []

    def choose(_connected: ssl.SSLObject, name: str | None, _context: ssl.SSLContext) -> None:
        begun.append(USER.get())
        USER.set(str(name))

    async def scenario() -> None:
        app = Marking()
        async with serving(app, **TLS) as served:
            tls = served.server.tls
            assert tls is not None
            tls.context.sni_callback = choose
            for number in range(3):
                client = await served.connect(authority().client())
                client.send(request(f"/whole/{number}", LAST))
                await answered(client, f"/whole/{number}")
            assert begun == app.begun == [NOBODY] * 3

    run_watched(scenario, loop)
