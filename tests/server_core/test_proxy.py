"""Whom the server believes about the client."""

# ruff: noqa: ARG001 - an ASGI application takes three arguments, whether it needs them or not

from __future__ import annotations

import pytest

from server_core.http.exchange import Message, Receive, Send
from server_core.proxy import parse_trusted
from tests.helpers.http import PARSERS, reply, run, serving


@pytest.mark.parametrize(
    ("setting", "peer", "trusted"),
    [
        ("127.0.0.1,::1", "127.0.0.1", True),
        ("127.0.0.1,::1", "127.0.0.2", False),
        ("127.0.0.1,::1", "::1", True),
        ("10.0.0.0/8", "10.1.2.3", True),
        ("10.0.0.0/8", "11.1.2.3", False),
        ("10.0.0.0/8", "::ffff:10.1.2.3", True),
        ("10.0.0.0/8", None, False),
        ("unix", None, True),
        ("unix", "127.0.0.1", False),
        ("*", "192.0.2.1", True),
        ("*", None, True),
        ("", "127.0.0.1", False),
    ],
)
def test_a_peer_is_trusted_when_the_setting_names_it(setting: str, peer: str | None, trusted: bool) -> None:
    assert parse_trusted(setting).trusts(peer) is trusted


def test_a_bad_part_of_the_setting_is_named() -> None:
    with pytest.raises(ValueError, match=r"must be addresses, networks, unix or \*, with commas, not 'localhost'"):
        parse_trusted("127.0.0.1, localhost")


@pytest.mark.parametrize(
    ("setting", "values", "client"),
    [
        ("10.0.0.1", [b"192.0.2.1"], "192.0.2.1"),
        ("10.0.0.1", [b"203.0.113.9, 192.0.2.1"], "192.0.2.1"),
        ("10.0.0.0/8", [b"203.0.113.9, 192.0.2.1, 10.0.0.7"], "192.0.2.1"),
        ("10.0.0.0/8", [b"203.0.113.9", b"10.0.0.7"], "203.0.113.9"),
        ("10.0.0.0/8", [b"10.0.0.9, 10.0.0.8"], "10.0.0.9"),
        ("*", [b"203.0.113.9, 192.0.2.1"], "203.0.113.9"),
        ("10.0.0.1", [b"192.0.2.1:4711"], "192.0.2.1"),
        ("10.0.0.1", [b"[2001:db8::1]:80"], "2001:db8::1"),
        ("10.0.0.1", [b"2001:db8::1"], "2001:db8::1"),
        ("10.0.0.1", [b"unknown"], None),
        ("10.0.0.0/8", [b"192.0.2.1, unknown, 10.0.0.7"], "10.0.0.7"),
    ],
)
def test_the_rightmost_address_that_is_not_trusted_is_the_client(
    setting: str, values: list[bytes], client: str | None
) -> None:
    found, scheme = parse_trusted(setting).client([(b"x-forwarded-for", value) for value in values])
    assert found == client
    assert scheme is None


@pytest.mark.parametrize("parser", PARSERS)
@pytest.mark.parametrize(
    ("setting", "said"),
    [("127.0.0.1", b"('192.0.2.1', 0) https"), ("10.0.0.1", b"('127.0.0.1', PORT) http")],
    ids=["trusted", "not trusted"],
)
def test_the_scope_carries_what_a_trusted_peer_says_and_nobody_else(setting: str, said: bytes, parser: str) -> None:
    async def app(scope: Message, receive: Receive, send: Send) -> None:
        await reply(send, f"{scope['client']} {scope['scheme']}".encode())

    async def scenario() -> None:
        async with serving(app, forwarded_allow_ips=setting, http=parser) as served:
            client = await served.connect()
            port = client.writer.get_extra_info("sockname")[1]
            request = b"GET / HTTP/1.1\r\nHost: x\r\nX-Forwarded-For: 192.0.2.1\r\nX-Forwarded-Proto: https\r\n\r\n"
            assert (await client.get(request)).body == said.replace(b"PORT", b"%d" % port)
            plain = f"('127.0.0.1', {port}) http".encode()
            assert (await client.get()).body == plain, "the next request says nothing"

    run(scenario())
