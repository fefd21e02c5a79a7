"""Listeners, the drain with real sockets, and the figures."""

# ruff: noqa: ARG001, ARG002 - an ASGI application takes three arguments, whether it needs them or not

from __future__ import annotations

import asyncio
import errno
import os
import socket

import pytest

from server_core.asgi.http_exchange import Message, Receive, Send
from server_core.contract.figures import LATENCY_BOUNDS_S
from server_core.listen.fair_accept import AT_ONCE
from server_core.listen.listener_setup import UNSENT_BYTES
from server_core.server.server import Server
from server_core.settings.declaration import ServerSettings
from server_core.transport import closing
from tests.helpers.http import GET, PARSERS, Client, Heard, Served, reflect, reply, run, serving, turn, until

LOOPS = ("asyncio", "uvloop")


class Gated:
    """An application that answers when it is let."""

    def __init__(self) -> None:
        self.gate = asyncio.Event()

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        await self.gate.wait()
        await reply(send, b"done")


async def idle_client(served: Served) -> Client:
    """A kept-alive client with one request behind it."""
    client = await served.connect()
    assert (await client.get()).headers.get("connection") is None
    return client


# Listeners


class Exhausted(socket.socket):
    """A listener for whose clients there is no descriptor."""

    def _accept(self) -> tuple[int, object]:
        raise OSError(errno.EMFILE, "none left")


@pytest.mark.parametrize("loop", LOOPS)
def test_accepted_sockets_send_without_delay(loop: str) -> None:
    async def scenario() -> None:
        async with serving(reflect) as served:
            await idle_client(served)
            (connection,) = served.server.connections
            with socket.socket(fileno=os.dup(connection.transport.fileno())) as sock:
                assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
                if hasattr(socket, "TCP_NOTSENT_LOWAT"):
                    assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT) == UNSENT_BYTES
                assert not sock.get_inheritable()

    run(scenario(), loop=loop)


@pytest.mark.parametrize("loop", LOOPS)
def test_a_unix_socket_is_served_and_has_no_client_address(loop: str, tmp_path: object) -> None:
    async def app(scope: Message, receive: Receive, send: Send) -> None:
        await reply(send, repr((scope["client"], scope["server"])).encode())

    async def scenario() -> None:
        path = f"{tmp_path}/s"
        async with serving(app, forwarded_allow_ips="unix") as served:
            listener = socket.socket(socket.AF_UNIX)
            listener.bind(path)
            listener.listen()
            served.server.listen(listener)
            client = Client(*await asyncio.open_unix_connection(path))
            served.clients.append(client)
            assert (await client.get()).body == repr((None, (path, None))).encode()
            request = GET.replace(b"host", b"x-forwarded-for: 192.0.2.1\r\nhost")
            assert (await client.get(request)).body == repr((("192.0.2.1", 0), (path, None))).encode()

    run(scenario(), loop=loop)


@pytest.mark.parametrize("loop", LOOPS)
def test_an_adopted_socket_is_served_without_any_listener(loop: str) -> None:
    async def scenario() -> None:
        async with serving(reflect) as served:
            ours, theirs = socket.socketpair()
            ours.setblocking(False)
            served.server.adopt(ours)
            client = Client(*await asyncio.open_connection(sock=theirs))
            served.clients.append(client)
            assert (await client.get()).status == 200

    run(scenario(), loop=loop)


def test_one_wake_up_accepts_so_many_that_others_get_their_turn() -> None:
    class Crowded(socket.socket):
        """A listener with a crowd before it."""

        accepted = 0

        def _accept(self) -> tuple[int, object]:
            self.accepted += 1
            ours, theirs = socket.socketpair()
            theirs.close()
            return ours.detach(), ""

    async def scenario() -> None:
        async with serving(reflect) as served:
            with Crowded(socket.AF_UNIX) as crowd:
                served.server.listeners.accept(crowd)
            assert crowd.accepted == AT_ONCE

    run(scenario())


@pytest.mark.parametrize("loop", LOOPS)
def test_a_parked_server_accepts_nobody_serves_what_it_has_and_can_join_again(loop: str) -> None:
    async def scenario() -> None:
        async with serving(reflect) as served:
            first = await idle_client(served)
            second = await idle_client(served)
            served.server.park()
            served.server.park()
            waiting = await served.connect()
            waiting.send(GET)
            response = await first.get()
            assert response.status == 200
            assert response.headers["connection"] == "close"
            assert await first.rest() == b""
            first.close()
            await until(lambda: len(served.server.connections) == 1)
            await turn()
            assert len(served.server.connections) == 1, "the one in the queue is left to another worker"
            served.server.serve()
            served.server.serve()
            assert (await waiting.response()).status == 200
            assert (await second.get()).headers.get("connection") is None

    run(scenario(), loop=loop)


# Drain


@pytest.mark.parametrize("loop", LOOPS)
@pytest.mark.parametrize("parser", PARSERS)
def test_a_drain_finishes_the_request_in_flight_and_announces_close(loop: str, parser: str) -> None:
    async def scenario() -> None:
        app = Gated()
        async with serving(app, http=parser) as served:
            client = await served.connect()
            client.send(GET)
            await until(served.server.in_flight)
            drain = asyncio.create_task(served.server.drain(20.0, final=False))
            await turn()
            assert not drain.done()
            app.gate.set()
            response = await client.response()
            assert (response.body, response.headers["connection"]) == (b"done", "close")
            assert await client.rest() == b""
            client.close()
            assert await drain

    run(scenario(), loop=loop)


@pytest.mark.parametrize("loop", LOOPS)
def test_idle_connections_stay_readable_for_a_while_and_close_one_by_one(loop: str) -> None:
    async def scenario() -> None:
        async with serving(reflect, drain_spread=0.8) as served:
            clients = [await idle_client(served) for _ in range(4)]
            now = asyncio.get_running_loop().time
            began = now()
            drain = asyncio.create_task(served.server.drain(20.0, final=False))
            await turn()
            response = await clients[3].get()
            assert response.headers["connection"] == "close", "its request was served in the window"
            ends: list[float] = []
            for client in clients[:3]:
                assert await client.rest() == b""
                ends.append(now() - began)
                client.close()
            clients[3].close()
            assert await drain
            assert ends[0] > 0.4
            assert ends[0] + 0.05 < ends[1] < ends[2] - 0.05

    run(scenario(), loop=loop)


@pytest.mark.parametrize("loop", LOOPS)
def test_a_request_in_the_kernel_s_buffer_is_served_when_its_connection_would_close(loop: str) -> None:
    async def scenario() -> None:
        async with serving(reflect) as served:
            client = await idle_client(served)
            served.server.leave(final=False)
            (connection,) = served.server.connections
            os.write(
                client.writer.get_extra_info("socket").fileno(), GET
            )  # past the loop: the server's half has it before the server's loop looks
            connection.close_if_idle()
            assert (await client.response()).headers["connection"] == "close"
            assert await client.rest() == b""

    run(scenario(), loop=loop)


@pytest.mark.parametrize("loop", LOOPS)
def test_what_crosses_the_half_close_of_a_drain_is_read_and_not_answered_by_a_reset(
    loop: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(closing, "LINGER_S", 60.0)

    async def scenario() -> None:
        async with serving(reflect) as served:
            client = await idle_client(served)
            drain = asyncio.create_task(served.server.drain(20.0, final=True))
            await turn()
            (connection,) = served.server.connections
            connection.close_if_idle()
            assert await client.rest() == b"", "half-closed"
            client.send(GET)
            await turn()
            await turn()
            assert client.writer.get_extra_info("socket").getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == 0
            assert not drain.done(), "the connection lingers"
            client.close()
            assert await drain

    run(scenario(), loop=loop)


@pytest.mark.parametrize("loop", LOOPS)
def test_a_half_closed_connection_is_closed_when_it_has_lingered(loop: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(closing, "LINGER_S", 0.01)

    async def scenario() -> None:
        async with serving(reflect) as served:
            client = await idle_client(served)
            served.server.leave(final=False)
            (connection,) = served.server.connections
            connection.close_if_idle()
            await until(lambda: not served.server.connections)
            assert await client.rest() == b""
            client.close()

    run(scenario(), loop=loop)


def test_a_pipelined_request_is_answered_before_close_is_announced() -> None:
    async def scenario() -> None:
        app = Gated()
        async with serving(app) as served:
            client = await served.connect()
            client.send(GET + GET)
            await until(served.server.in_flight)
            served.server.leave(final=False)
            app.gate.set()
            assert (await client.response()).headers.get("connection") is None
            assert (await client.response()).headers["connection"] == "close"
            assert await client.rest() == b""

    run(scenario())


@pytest.mark.parametrize("loop", LOOPS)
def test_a_client_that_is_accepted_and_silent_is_waited_for(loop: str) -> None:
    async def scenario() -> None:
        async with serving(reflect) as served:
            client = await served.connect()
            await until(lambda: served.server.connections)
            drain = asyncio.create_task(served.server.drain(20.0, final=True))
            await turn()
            assert not drain.done()
            assert (await client.get()).headers["connection"] == "close"
            client.close()
            assert await drain

    run(scenario(), loop=loop)


def test_a_client_that_stays_silent_is_given_its_header_timeout() -> None:
    async def scenario() -> None:
        async with serving(reflect, header_timeout=10.0) as served:
            client = await served.connect()
            await until(lambda: served.server.connections)
            drain = asyncio.create_task(served.server.drain(20.0, final=True))
            await turn()
            served.server.sweep(served.server.now + 9.0)
            assert not drain.done()
            served.server.sweep(served.server.now + 2.0)
            assert await client.rest() == b""
            assert await drain

    run(scenario())


@pytest.mark.parametrize("loop", LOOPS)
def test_a_final_drain_empties_the_accept_queue_and_refuses_the_late(loop: str) -> None:
    async def scenario() -> None:
        async with serving(reflect) as served:
            served.server.park()
            clients = [await served.connect() for _ in range(10)]
            for client in clients:
                client.send(GET)
            drain = asyncio.create_task(served.server.drain(20.0, final=True))
            for client in clients:
                assert (await client.response()).status == 200
                client.close()
            assert await drain
            with pytest.raises(ConnectionRefusedError):
                await served.connect()

    run(scenario(), loop=loop)


def test_a_final_drain_is_not_over_while_somebody_waits_and_tells_who_is_left_behind() -> None:
    async def scenario() -> None:
        async with serving(reflect) as served:
            served.server.park()
            client = await served.connect()
            (listener,) = served.server.listeners._sockets
            exhausted = Exhausted(fileno=listener.detach())
            served.server.listeners._sockets.clear()
            served.server.listeners._sockets[exhausted] = None
            left: list[bool] = []
            served.server.leave(final=True, left=lambda: left.append(True))
            assert not await served.server.drain(0.05, final=True)
            assert not left
            served.server.abort()
            assert left
            (told,) = served.heard.all("listener.abandoned")
            assert told["waiting"] == 1
            assert await served.server.drain(0.05, final=True)
            client.close()

    run(scenario())


def test_a_drain_that_is_not_final_leaves_the_queue_to_others() -> None:
    async def scenario() -> None:
        async with serving(reflect) as served:
            served.server.park()
            (listener,) = served.server.listeners._sockets
            kept = listener.dup()
            client = await served.connect()
            client.send(GET)
            assert await served.server.drain(20.0, final=False)
            loop = asyncio.get_running_loop()
            other = Server(reflect, ServerSettings(), loop, log=Heard())
            other.listen(kept)
            other.serve()
            assert (await client.response()).status == 200
            client.close()
            assert await other.drain(20.0, final=True)

    run(scenario())


def test_a_drain_ends_at_its_timeout_and_abort_ends_the_rest() -> None:
    async def scenario() -> None:
        app = Gated()
        async with serving(app) as served:
            client = await served.connect()
            client.send(GET)
            await until(served.server.in_flight)
            assert await served.server.drain(0.05, final=False) is False
            served.server.abort()
            assert await client.rest() == b""
            await until(lambda: not served.server.in_flight())
            assert not served.heard.all("request.failed")

    run(scenario())


def test_a_drain_waits_for_what_the_application_does_after_its_response() -> None:
    async def scenario() -> None:
        gate = asyncio.Event()

        async def app(scope: Message, receive: Receive, send: Send) -> None:
            await reply(send, b"")
            await gate.wait()

        async with serving(app) as served:
            client = await served.connect()
            await client.get()
            client.reset()
            drain = asyncio.create_task(served.server.drain(20.0, final=False))
            await until(lambda: not served.server.connections)
            assert not drain.done()
            gate.set()
            assert await drain

    run(scenario())


def test_a_stream_that_began_before_the_drain_ends_whole_and_its_connection_gets_its_window() -> None:
    async def scenario() -> None:
        gate = asyncio.Event()

        async def app(scope: Message, receive: Receive, send: Send) -> None:
            await send({"type": "http.response.start", "status": 200})
            await send({"type": "http.response.body", "body": b"a", "more_body": True})
            await gate.wait()
            await send({"type": "http.response.body", "body": b"b"})

        async with serving(app, drain_spread=0.2) as served:
            client = await served.connect()
            client.send(GET)
            await client.reader.readuntil(b"a\r\n")
            drain = asyncio.create_task(served.server.drain(20.0, final=False))
            await turn()
            gate.set()
            assert await client.reader.readuntil(b"0\r\n\r\n") == b"1\r\nb\r\n0\r\n\r\n"
            assert (await client.get()).headers["connection"] == "close", "its next request is served"
            assert await client.rest() == b""
            client.close()
            assert await drain

    run(scenario())


# Figures


def test_the_figures_count_what_happened() -> None:
    async def app(scope: Message, receive: Receive, send: Send) -> None:
        await reply(send, b"", int(str(scope["path"])[1:]))

    async def scenario() -> None:
        async with serving(app) as served:
            client = await served.connect()
            for status in (200, 201, 302, 404, 503):
                await client.get(f"GET /{status} HTTP/1.1\r\nhost: x\r\n\r\n".encode())
            figures = served.server.figures()
            assert figures.responses == (0, 2, 1, 1, 1)
            assert (figures.requests_total, figures.connections, figures.in_flight) == (5, 1, 0)
            assert len(figures.latency) == len(LATENCY_BOUNDS_S) + 1
            assert sum(figures.latency) == 5

    run(scenario())


def test_requests_in_flight_are_told_oldest_first() -> None:
    async def scenario() -> None:
        app = Gated()
        async with serving(app) as served:
            for number in range(3):
                client = await served.connect()
                client.send(f"PUT /{number} HTTP/1.1\r\nhost: x\r\n\r\n".encode())
                await until(lambda number=number: len(served.server.in_flight()) == number + 1)  # type: ignore[misc]
            entries = served.server.in_flight()
            assert [(entry.method, entry.path) for entry in entries] == [("PUT", "/0"), ("PUT", "/1"), ("PUT", "/2")]
            assert entries[0].started_at < entries[2].started_at
            assert served.server.figures().in_flight == 3
            app.gate.set()
            await until(lambda: not served.server.in_flight())

    run(scenario())


def test_max_requests_are_told_once() -> None:
    told: list[str] = []

    async def scenario() -> None:
        async with serving(reflect, on_max_requests=told.append, max_requests=3) as served:
            client = await served.connect()
            for _ in range(2):
                await client.get()
            assert told == []
            for _ in range(5):
                assert (await client.get()).status == 200
            assert told == ["max-requests 3 reached"]

    run(scenario())


def test_max_requests_jitter_adds_up_to_its_value() -> None:
    async def scenario() -> None:
        loop = asyncio.get_running_loop()
        settings = ServerSettings(max_requests=100, max_requests_jitter=50)
        limits = {Server(reflect, settings, loop, log=Heard()).max_requests for _ in range(200)}
        assert min(limits) >= 100
        assert max(limits) <= 150
        assert len(limits) > 10

    asyncio.run(scenario())
