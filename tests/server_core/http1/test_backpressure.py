"""What a response costs while its client takes it slowly, and what everybody else gets while one takes it fast."""

# ruff: noqa: ARG001 - an ASGI application takes three arguments, whether it needs them or not

from __future__ import annotations

import asyncio
import socket

import pytest

from server_core.asgi.http_exchange import Message, Receive, Send
from server_core.http1.stream import STREAK_LIMIT
from tests.helpers.bench import Bench
from tests.helpers.http import GET, run, serving, until

LOOPS = ("asyncio", "uvloop")
PART = b"x" * 65536
RESPONSE_PARTS = 1600
"""100 MiB: far more than the kernel's buffers of one connection take (tcp_wmem and tcp_rmem, 4 and 6 MiB)."""


@pytest.mark.parametrize("loop", LOOPS)
def test_a_slow_reader_of_a_large_response_costs_its_high_water_mark(loop: str) -> None:
    async def scenario() -> None:
        sent = 0

        async def app(scope: Message, receive: Receive, send: Send) -> None:
            nonlocal sent
            await send({"type": "http.response.start", "status": 200})
            for number in range(RESPONSE_PARTS):
                await send({"type": "http.response.body", "body": PART, "more_body": number < RESPONSE_PARTS - 1})
                sent += 1

        at_its_end: list[int] = []
        async with serving(app) as served:
            served.server.registry.subscribe(lambda _: at_its_end.append(sent), lambda: None)
            with socket.create_connection(served.address) as client:
                client.sendall(GET)
                await until(lambda: any(connection.full for connection in served.server.connections))
                (connection,) = served.server.connections
                assert connection.transport.get_write_buffer_size() <= 2 * len(PART) + 100
                assert sent < RESPONSE_PARTS / 2
            await until(lambda: not served.server.connections)
            # Afterwards send() drops what comes, a part in each turn of the loop: how many turns this task has missed
            # is the machine's affair.
            (parts,) = at_its_end
            assert parts < RESPONSE_PARTS / 2, "nothing was taken for a client that did not read"

    run(scenario(), loop=loop)


@pytest.mark.parametrize("loop", LOOPS)
def test_a_large_first_part_makes_the_application_wait_as_any_other(loop: str) -> None:
    async def scenario() -> None:
        sent = 0

        async def app(scope: Message, receive: Receive, send: Send) -> None:
            nonlocal sent
            await send({"type": "http.response.start", "status": 200})
            await send({"type": "http.response.body", "body": PART * 400, "more_body": True})
            sent += 1

        async with serving(app) as served:
            with socket.create_connection(served.address) as client:
                client.sendall(GET)
                await until(served.server.in_flight)
                await until(
                    lambda: any(connection.stream.exchange.is_waiting for connection in served.server.connections)
                )
                assert sent == 0
            await until(lambda: not served.server.connections)

    run(scenario(), loop=loop)


def test_an_application_that_only_sends_leaves_the_loop_its_turns() -> None:
    async def scenario() -> None:
        turns: list[int] = []
        sent = 0

        async def app(scope: Message, receive: Receive, send: Send) -> None:
            nonlocal sent
            await send({"type": "http.response.start", "status": 200})
            asyncio.get_running_loop().call_soon(lambda: turns.append(sent))
            while sent < 10 * STREAK_LIMIT:
                sent += 1
                await send({"type": "http.response.body", "body": b"x", "more_body": True})
            await send({"type": "http.response.body", "body": b""})

        bench = Bench(app)
        bench.transport.feed(GET)
        await until(lambda: not bench.server.in_flight())
        assert turns == [STREAK_LIMIT], "somebody else had a turn long before the end of the response"
        assert bench.statuses() == [200]

    asyncio.run(scenario())


def test_a_client_that_leaves_in_such_a_turn_is_not_written_to() -> None:
    async def scenario() -> None:
        sent = 0

        async def app(scope: Message, receive: Receive, send: Send) -> None:
            nonlocal sent
            await send({"type": "http.response.start", "status": 200})
            asyncio.get_running_loop().call_soon(bench.transport.lose)
            while sent < 10 * STREAK_LIMIT:
                sent += 1
                await send({"type": "http.response.body", "body": b"x", "more_body": True})

        bench = Bench(app)
        bench.transport.feed(GET)
        await until(lambda: not bench.server.in_flight())
        assert bench.transport.written.count(b"\r\nx\r\n") == STREAK_LIMIT, "the others are dropped"
        assert sent == 10 * STREAK_LIMIT
        assert not bench.heard.all("request.failed")

    asyncio.run(scenario())
