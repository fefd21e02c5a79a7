"""A client of IPv4 on a listener of IPv6 is one of IPv4 wherever it is told: scope, logs, and who is trusted."""

# ruff: noqa: ARG001 - an ASGI application takes three arguments, whether it needs them or not

from __future__ import annotations

import socket

import pytest

from server_core.asgi.http_exchange import Message, Receive, Send
from server_core.transport.socket_info import address, unmapped
from tests.helpers.http import GET, Served, reply, run, serving, until

LOOPS = ("asyncio", "uvloop")
FORWARDED = GET.replace(b"host: x", b"host: x\r\nx-forwarded-for: 203.0.113.9")


@pytest.mark.parametrize(
    ("name", "told"),
    [
        (("::ffff:192.0.2.1", 5, 0, 0), ("192.0.2.1", 5)),
        (("::ffff:0:1", 5, 0, 0), ("::ffff:0:1", 5)),
        (("2001:db8::1", 5, 0, 0), ("2001:db8::1", 5)),
        (("192.0.2.1", 5), ("192.0.2.1", 5)),
        ("/run/::ffff:1.2.3.4", ("/run/::ffff:1.2.3.4", None)),
        ("", None),
        (None, None),
    ],
)
def test_an_address_is_unmapped(name: object, told: object) -> None:
    assert address(name) == told
    assert address(unmapped(name)) == told


async def who(scope: Message, receive: Receive, send: Send) -> None:
    await reply(send, f"{scope['client'][0]} {scope['server'][0]}".encode())  # type: ignore[index]  # addresses


def dual(served: Served, host: str = "::") -> None:
    """Have it listen on IPv6 for both, and clients come by IPv4."""
    if not socket.has_dualstack_ipv6():
        pytest.skip("no listener for both families here")
    listener = socket.create_server((host, 0), family=socket.AF_INET6, dualstack_ipv6=True)
    served.address = ("127.0.0.1", listener.getsockname()[1])
    served.server.park()
    served.server.listen(listener)
    served.server.serve()


@pytest.mark.parametrize("host", ["::", "::ffff:127.0.0.1"])
@pytest.mark.parametrize("loop", LOOPS)
def test_scope_and_logs_have_the_ipv4_address(loop: str, host: str) -> None:
    async def scenario() -> None:
        async with serving(who, forwarded_allow_ips="") as served:
            dual(served, host)
            assert (await (await served.connect()).get()).body == b"127.0.0.1 127.0.0.1"
            (await served.connect()).send(b"no request\r\n\r\n")
            await until(lambda: served.heard.all("request.refused"))
            assert str(served.heard.all("request.refused")[0]["client"]).startswith("('127.0.0.1', ")

    run(scenario(), loop=loop)


@pytest.mark.parametrize("trusted", ["127.0.0.1", "::ffff:127.0.0.1", "::ffff:127.0.0.0/104"])
def test_a_proxy_is_trusted_by_either_way_to_write_its_address(trusted: str) -> None:
    async def scenario() -> None:
        async with serving(who, forwarded_allow_ips=trusted) as served:
            dual(served)
            assert (await (await served.connect()).get(FORWARDED)).body == b"203.0.113.9 127.0.0.1"

    run(scenario())


def test_a_proxy_header_of_mapped_addresses_tells_ipv4() -> None:
    async def scenario() -> None:
        async with serving(who, proxy_protocol=True) as served:
            client = await served.connect()
            header = b"PROXY TCP6 ::ffff:192.0.2.1 ::ffff:198.51.100.7 4711 443\r\n"
            assert (await client.get(header + GET)).body == b"192.0.2.1 198.51.100.7"
            client = await served.connect()
            client.send(header + b"no request\r\n\r\n")
            await until(lambda: served.heard.all("request.refused"))
            assert served.heard.all("request.refused")[0]["client"] == "('192.0.2.1', 4711)"

    run(scenario())
