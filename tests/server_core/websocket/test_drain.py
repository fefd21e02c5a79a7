"""In a drain a WebSocket is told to connect again, but no message that has come goes without its answer."""

from __future__ import annotations

import asyncio

import pytest

from server_core.asgi.http_exchange import Message, Receive, Send
from server_core.websocket import dismissal
from tests.helpers.http import DEADLINE_S, Client, Served, run, serving, until
from tests.helpers.websocket import close_frame

HANDSHAKE = (
    b"GET / HTTP/1.1\r\nhost: x\r\nconnection: Upgrade\r\nupgrade: websocket\r\n"
    b"sec-websocket-version: 13\r\nsec-websocket-key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
)
MESSAGE = b"\x81\x82\0\0\0\0hi"
ECHO = b"\x81\x02hi"
RESTART = b"\x88\x11\x03\xf4service restart"


class Echo:
    """Answers a message when it is let."""

    def __init__(self) -> None:
        self.gate = asyncio.Event()
        self.began = asyncio.Event()

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        assert scope["type"] == "websocket"
        await receive()
        await send({"type": "websocket.accept"})
        while (message := await receive())["type"] == "websocket.receive":
            self.began.set()
            await self.gate.wait()
            await send({"type": "websocket.send", "text": message["text"]})


async def opened(served: Served) -> Client:
    client = await served.connect()
    client.send(HANDSHAKE)
    assert (await client.response()).status == 101
    return client


async def told(client: Client) -> bytes:
    """All that the server sent until it saw our answer to its close frame."""
    async with asyncio.timeout(DEADLINE_S):
        heard = b""
        while b"service restart" not in heard:
            heard += await client.reader.read(1000)
        client.send(b"\x88\x82\0\0\0\0\x03\xf4")
        return heard + await client.reader.read()


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
def test_a_quiet_websocket_is_closed_with_1012(loop: str) -> None:
    async def scenario() -> None:
        async with serving(Echo(), drain_spread=0.1) as served:
            client = await opened(served)
            drain = asyncio.create_task(served.server.drain(DEADLINE_S, final=False))
            assert await told(client) == RESTART
            assert await drain

    run(scenario(), loop=loop)


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
def test_a_message_that_is_being_answered_gets_its_answer_first(loop: str) -> None:
    async def scenario() -> None:
        app = Echo()
        async with serving(app, drain_spread=0.1) as served:
            client = await opened(served)
            client.send(MESSAGE)
            await app.began.wait()
            drain = asyncio.create_task(served.server.drain(DEADLINE_S, final=False))
            (open_channel,) = served.server.connections
            await until(lambda: open_channel._looks)  # type: ignore[union-attr]  # its moment has come
            app.gate.set()
            assert await told(client) == ECHO + RESTART
            assert await drain

    run(scenario(), loop=loop)


def test_a_message_in_the_kernel_is_answered_first() -> None:
    async def scenario() -> None:
        app = Echo()
        app.gate.set()
        async with serving(app) as served:
            client = await opened(served)
            (open_channel,) = served.server.connections
            await until(lambda: open_channel.session.is_waiting)  # type: ignore[union-attr]  # in receive()
            client.writer.transport.get_extra_info("socket")._sock.send(MESSAGE)
            open_channel.close_if_idle()
            assert await told(client) == ECHO + RESTART

    run(scenario())


def test_a_message_at_work_is_waited_for_as_long_as_the_drain_lasts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dismissal, "PATIENCE_LOOKS", 1)
    monkeypatch.setattr(dismissal, "LOOK_INTERVAL_S", 0.01)

    async def scenario() -> None:
        app = Echo()
        async with serving(app, drain_spread=0.1) as served:
            client = await opened(served)
            client.send(MESSAGE)
            await app.began.wait()
            drain = asyncio.create_task(served.server.drain(DEADLINE_S, final=False))
            (open_channel,) = served.server.connections
            await until(lambda: open_channel._looks > 5)  # type: ignore[union-attr]  # patience is over
            app.gate.set()
            assert await told(client) == ECHO + RESTART
            assert await drain

    run(scenario())


def test_an_application_that_does_not_ask_for_messages_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dismissal, "LOOK_INTERVAL_S", 0.001)
    over = asyncio.Event()

    async def ticker(_: Message, receive: Receive, send: Send) -> None:
        """Sends for ever once it was asked to, and asks for nothing more."""
        await receive()
        await send({"type": "websocket.accept"})
        await receive()
        await send({"type": "websocket.send", "text": "hi"})
        await over.wait()

    async def scenario() -> None:
        async with serving(ticker, drain_spread=0.1) as served:
            client = await opened(served)
            client.send(MESSAGE + MESSAGE)
            drain = asyncio.create_task(served.server.drain(DEADLINE_S, final=False))
            assert await told(client) == ECHO + close_frame(1012, dismissal.RESTART_OWING.encode(), masked=False)
            over.set()
            assert await drain

    run(scenario())


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
def test_who_is_given_up_is_told_to_connect_again(loop: str) -> None:
    async def scenario() -> None:
        app = Echo()
        async with serving(app) as served:
            client = await opened(served)
            client.send(MESSAGE)
            await app.began.wait()
            served.server.abort()
            async with asyncio.timeout(DEADLINE_S):
                assert b"messages may be unanswered" in await client.reader.read()

    run(scenario(), loop=loop)
