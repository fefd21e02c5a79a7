"""Connections that begin with a PROXY header, on real sockets: what the application sees, and who is turned away."""

# ruff: noqa: ARG001 - an ASGI application takes three arguments, whether it needs them or not

from __future__ import annotations

import asyncio
import socket
import sys

import pytest

from server_core.asgi.http_exchange import Message, Receive, Send
from server_core.proxy.protocol_header import V2_SIGNATURE
from server_core.server.server import Server
from server_core.settings.declaration import ServerSettings
from tests.helpers.certificates import authority
from tests.helpers.http import DEADLINE_S, GET, Client, Heard, reply, run, serving, turn, until

LOOPS = ("asyncio", "uvloop")
V1 = b"PROXY TCP4 192.0.2.1 198.51.100.7 4711 443\r\n"
V2 = V2_SIGNATURE + b"\x21\x11\x00\x0c" + bytes([192, 0, 2, 1, 198, 51, 100, 7, 0x12, 0x67, 0x01, 0xBB])
LOCAL = V2_SIGNATURE + b"\x20\x00\x00\x00"
SEEN = b"('192.0.2.1', 4711) ('198.51.100.7', 443) http"


async def who(scope: Message, receive: Receive, send: Send) -> None:
    await reply(send, f"{scope['client']} {scope['server']} {scope['scheme']}".encode())


async def is_closed(client: Client) -> bool:
    """Whether nothing comes but the end; with bytes of ours unread the kernel makes it a reset."""
    try:
        return await client.rest() == b""
    except ConnectionResetError:
        return True


@pytest.mark.parametrize("loop", LOOPS)
@pytest.mark.parametrize("header", [V1, V2], ids=["version 1", "version 2"])
def test_the_header_tells_client_and_server_for_every_request_of_the_connection(header: bytes, loop: str) -> None:
    async def scenario() -> None:
        async with serving(who, proxy_protocol=True) as served:
            client = await served.connect()
            assert (await client.get(header + GET)).body == SEEN
            assert (await client.get()).body == SEEN

    run(scenario(), loop=loop)


@pytest.mark.parametrize("loop", LOOPS)
@pytest.mark.parametrize("header", [V1, V2], ids=["version 1", "version 2"])
def test_a_header_may_come_in_pieces_of_any_size(header: bytes, loop: str) -> None:
    async def scenario() -> None:
        async with serving(who, proxy_protocol=True) as served:
            for size in (1, 7, 13):
                client = await served.connect()
                data = header + GET
                for at in range(0, len(data), size):
                    client.send(data[at : at + size])
                    await turn()
                assert (await client.response()).body == SEEN

    run(scenario(), loop=loop)


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere accepted sockets do not inherit it")
def test_a_header_is_heard_though_the_socket_inherited_a_low_water_mark() -> None:
    async def scenario() -> None:
        async with serving(who, proxy_protocol=True) as served:
            (listener,) = served.server.listeners._sockets
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, 1 << 20)
            client = await served.connect()
            await until(lambda: bool(served.server.listeners.adopting))
            assert (await client.get(V1 + GET)).body == SEEN

    run(scenario())


@pytest.mark.parametrize("header", [LOCAL, b"PROXY UNKNOWN\r\n"], ids=["LOCAL", "UNKNOWN"])
def test_a_header_that_tells_nothing_leaves_the_connections_own_addresses(header: bytes) -> None:
    async def scenario() -> None:
        async with serving(who, proxy_protocol=True) as served:
            client = await served.connect()
            own = client.writer.get_extra_info("sockname")
            assert (await client.get(header + GET)).body == f"{own} {served.address} http".encode()

    run(scenario())


@pytest.mark.parametrize("loop", LOOPS)
def test_tls_begins_behind_the_header(loop: str) -> None:
    async def scenario() -> None:
        pair = authority().pair("localhost")
        async with serving(who, proxy_protocol=True, ssl_certfile=(pair.both,)) as served:
            sock = socket.create_connection(served.address)
            sock.sendall(V2)
            opened = await asyncio.open_connection(sock=sock, ssl=authority().client(), server_hostname="localhost")
            client = Client(*opened)
            served.clients.append(client)
            assert (await client.get()).body == SEEN.replace(b" http", b" https")

    run(scenario(), loop=loop)


def test_the_told_client_is_who_is_believed_about_forwarding_not_the_proxy() -> None:
    async def scenario() -> None:
        request = GET.replace(b"host", b"x-forwarded-for: 203.0.113.9\r\nhost")
        for setting, client in (("127.0.0.1", b"192.0.2.1"), ("192.0.2.1", b"203.0.113.9")):
            async with serving(who, proxy_protocol=True, forwarded_allow_ips=setting) as served:
                assert client in (await (await served.connect()).get(V1 + request)).body

    run(scenario())


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (GET, "no PROXY header"),
        (b"\x16\x03\x01\x00\x05hello", "no PROXY header"),
        (b"PROXY TCP4 nobody\r\n" + GET, "malformed PROXY header of version 1"),
        (V2_SIGNATURE + b"\x22\x11\x00\x00" + GET, "malformed PROXY header of version 2"),
        (b"PROXY " + b"x" * 200, "that does not end"),
    ],
    ids=["plain", "TLS", "version 1", "version 2", "endless"],
)
def test_a_connection_without_a_sound_header_is_closed_without_an_answer(data: bytes, reason: str) -> None:
    async def scenario() -> None:
        async with serving(who, proxy_protocol=True) as served:
            client = await served.connect()
            client.send(data)
            assert await is_closed(client)
            (told,) = served.heard.all("proxy.refused")
            assert reason in str(told["reason"])
            assert "127.0.0.1" in str(told["client"])

    run(scenario())


def test_a_peer_that_is_no_proxy_is_closed_whatever_it_sends() -> None:
    async def scenario() -> None:
        async with serving(who, proxy_protocol=True, proxy_allow_ips="10.0.0.1") as served:
            assert await is_closed(await served.connect())
            (told,) = served.heard.all("proxy.refused")
            assert told["reason"] == "not a proxy by proxy-allow-ips"

    run(scenario())


def test_refusals_are_told_once_in_a_while_and_then_counted() -> None:
    async def scenario() -> None:
        async with serving(who, proxy_protocol=True) as served:
            for _ in range(5):
                client = await served.connect()
                client.send(GET)
                assert await is_closed(client)
            assert [told["times"] for told in served.heard.all("proxy.refused")] == [1]

    run(scenario())


def test_who_says_nothing_and_goes_is_not_worth_a_word_but_half_a_header_is() -> None:
    async def scenario() -> None:
        async with serving(who, proxy_protocol=True) as served:
            for data, words in ((b"", 0), (V1[:10], 1)):
                client = await served.connect()
                client.send(data)
                client.writer.write_eof()
                assert await is_closed(client)
                assert len(served.heard.all("proxy.refused")) == words

    run(scenario())


def test_a_header_that_does_not_come_is_waited_for_until_the_header_timeout() -> None:
    async def scenario() -> None:
        async with serving(who, proxy_protocol=True, header_timeout=0.1) as served:
            client = await served.connect()
            client.send(V1[:10])
            assert await is_closed(client)
            (told,) = served.heard.all("proxy.refused")
            assert told["reason"] == "no PROXY header within header-timeout"

    run(scenario())


@pytest.mark.parametrize("loop", LOOPS)
def test_silent_sockets_hold_up_nobody(loop: str) -> None:
    async def scenario() -> None:
        async with serving(who, proxy_protocol=True) as served:
            silent = [await served.connect() for _ in range(200)]
            await until(lambda: len(served.server.listeners.adopting) == len(silent))
            assert (await (await served.connect()).get(V2 + GET)).body == SEEN
            assert len(served.server.listeners.adopting) == len(silent)

    run(scenario(), loop=loop)


def test_a_drain_waits_for_a_header_that_is_on_its_way() -> None:
    async def scenario() -> None:
        async with serving(who, proxy_protocol=True) as served:
            client = await served.connect()
            client.send(V1[:10])
            await until(lambda: served.server.listeners.adopting)
            draining = asyncio.ensure_future(served.server.drain(DEADLINE_S, final=True))
            await until(lambda: served.server.draining)
            response = await client.get(V1[10:] + GET)
            assert response.body == SEEN
            assert response.headers["connection"] == "close"
            assert await draining

    run(scenario())


def test_giving_up_closes_the_sockets_that_wait() -> None:
    async def scenario() -> None:
        async with serving(who, proxy_protocol=True) as served:
            client = await served.connect()
            await until(lambda: served.server.listeners.adopting)
            served.server.abort()
            assert await is_closed(client)

    run(scenario())


def test_a_unix_socket_is_let_in_where_unix_is_allowed(tmp_path: object) -> None:
    async def scenario() -> None:
        loop = asyncio.get_running_loop()
        for allowed, seen in (("unix", SEEN), ("127.0.0.1", b"")):
            server = Server(who, ServerSettings(proxy_protocol=True, proxy_allow_ips=allowed), loop, log=Heard())
            listener = socket.socket(socket.AF_UNIX)
            path = f"{tmp_path}/{allowed}"
            listener.bind(path)
            listener.listen()
            server.listen(listener)
            server.serve()
            client = Client(*await asyncio.open_unix_connection(path))
            if seen:
                assert (await client.get(V1 + GET)).body == seen
            else:
                assert await is_closed(client)
            client.close()
            await server.drain(0.0, final=True)
            server.abort()
            await until(lambda server=server: not server.connections)  # type: ignore[misc]  # bound here
            await client.writer.wait_closed()

    run(scenario())
