"""Which peers are believed, and who is the client in a chain of addresses."""

from __future__ import annotations

import pytest

from server_core.proxy.trusted_peers import LONGEST_CHAIN, parse_node, parse_trusted, to_text


@pytest.mark.parametrize(
    ("setting", "peer", "trusted"),
    [
        ("127.0.0.1,::1", ("127.0.0.1", 5), True),
        ("127.0.0.1,::1", ("127.0.0.2", 5), False),
        ("127.0.0.1,::1", ("::1", 5, 0, 0), True),
        ("10.0.0.0/8", ("10.1.2.3", 5), True),
        ("10.0.0.0/8", ("11.1.2.3", 5), False),
        ("10.0.0.0/8", ("::ffff:10.1.2.3", 5, 0, 0), True),
        ("::ffff:10.0.0.0/104", ("10.1.2.3", 5), True),
        ("::ffff:10.1.2.3", ("::ffff:10.1.2.3", 5, 0, 0), True),
        ("::ffff:10.1.2.3", ("10.1.2.4", 5), False),
        ("::/0", ("::ffff:10.1.2.3", 5, 0, 0), False),
        ("2001:db8::/126", ("2001:db8::4", 5, 0, 0), False),
        ("0.0.0.0/0", ("2001:db8::4", 5, 0, 0), False),
        ("::/0", ("192.0.2.1", 5), False),
        ("192.0.2.5/30", ("192.0.2.7", 5), True),
        ("192.0.2.5/30", ("192.0.2.8", 5), False),
        ("fe80::/10", ("fe80::1%eth0", 5, 0, 2), True),
        ("10.0.0.0/8", None, False),
        ("unix", None, True),
        ("unix", "", True),
        ("unix", "/run/nginx.sock", True),
        ("unix", b"\0nginx", True),
        ("unix", ("127.0.0.1", 5), False),
        ("127.0.0.1", "127.0.0.1", False),
        ("*", ("192.0.2.1", 5), True),
        ("*", None, True),
        ("", ("127.0.0.1", 5), False),
    ],
)
def test_a_peer_is_trusted_when_the_setting_names_it(setting: str, peer: object, trusted: bool) -> None:
    assert parse_trusted(setting).trusts(peer) is trusted


def test_a_bad_part_of_the_setting_is_named() -> None:
    with pytest.raises(ValueError, match=r"must be addresses, networks, unix or \*, with commas, not 'localhost'"):
        parse_trusted("127.0.0.1, localhost")


@pytest.mark.parametrize(
    ("setting", "chain", "client", "distance"),
    [
        ("10.0.0.1", "192.0.2.1", "192.0.2.1", 0),
        ("10.0.0.1", "203.0.113.9 192.0.2.1", "192.0.2.1", 0),
        ("10.0.0.0/8", "203.0.113.9 192.0.2.1 10.0.0.7", "192.0.2.1", 1),
        ("10.0.0.0/8", "10.0.0.9 10.0.0.8", "10.0.0.9", 1),
        ("*", "203.0.113.9 192.0.2.1", "203.0.113.9", 1),
        ("10.0.0.1", "unknown", None, 0),
        ("10.0.0.0/8", "192.0.2.1 unknown 10.0.0.7", "10.0.0.7", 1),
        ("10.0.0.0/8,unix", "192.0.2.1 unix: 10.0.0.7", "192.0.2.1", 2),
        ("10.0.0.0/8", "192.0.2.1 unix: 10.0.0.7", "10.0.0.7", 1),
        ("*", "unix:", None, 0),
        ("10.0.0.1", "", None, 0),
    ],
)
def test_the_rightmost_address_that_is_not_trusted_is_the_client(
    setting: str, chain: str, client: str | None, distance: int
) -> None:
    found, at = parse_trusted(setting).find_client(chain.split())
    assert (found[0] if found else None, at) == (client, distance)


def test_a_chain_of_any_length_is_looked_at_so_far_and_no_further() -> None:
    chain = ["192.0.2.1"] + ["10.0.0.1"] * LONGEST_CHAIN
    assert parse_trusted("10.0.0.0/8").find_client(chain) == (("10.0.0.1", 0), LONGEST_CHAIN - 1)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("192.0.2.1", ("192.0.2.1", 0)),
        ("192.0.2.1:4711", ("192.0.2.1", 4711)),
        ("2001:db8::1", ("2001:db8::1", 0)),
        ("[2001:db8::1]", ("2001:db8::1", 0)),
        ("[2001:DB8:0::1]:80", ("2001:db8::1", 80)),
        ("[::ffff:192.0.2.1]:80", ("192.0.2.1", 80)),
        ("192.0.2.1:_hidden", ("192.0.2.1", 0)),
        ("192.0.2.1:65536", None),
        ("192.0.2.1:8O", None),
        ("192.0.2.1:\u0661", None),
        ("192.0.2.01", None),
        ("[2001:db8::1", None),
        ("[2001:db8::1]80", None),
        ("fe80::1%anything goes", None),
        ("localhost", None),
        ("192.0.2", None),
        ("192.0.2.1.", None),
        ("3221225985", None),
        ("0x7f.0.0.1", None),
        ("192.0.2.1\x00", None),
        ("\u0661.0.0.1", None),
        ("unknown", None),
        ("", None),
    ],
)
def test_a_node_is_an_address_with_or_without_a_port(text: str, told: tuple[str, int] | None) -> None:
    found = parse_node(text)
    assert (None if found is None else (to_text(found[0]), found[1])) == told
