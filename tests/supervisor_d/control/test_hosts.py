"""The names that a request at admin-bind may ask for."""

from __future__ import annotations

import pytest

from supervisor_d.control.hosts import Hosts, name_of
from supervisor_d.settings.values.value_types import parse_hosts


@pytest.mark.parametrize(
    ("bound", "host", "accepted"),
    [
        ("127.0.0.1", "127.0.0.1:9000", True),
        ("127.0.0.1", "LocalHost", True),
        ("127.0.0.1", "127.0.0.2", False),
        ("127.0.0.1", "[::1]", False),
        ("127.0.0.1", "127.1", False),
        ("127.0.0.1", "0x7f000001", False),
        ("127.0.0.1", "", True),
        ("192.0.2.1", "localhost", False),
        ("192.0.2.1", "192.0.2.1", True),
        ("::1", "[::1]:80", True),
        ("::1", "[0:0::1]", True),
        ("fe80::1%lo", "[fe80::1%25lo]", True),
        ("::", "[2001:db8::1]", True),
        ("0.0.0.0", "evil.example", False),
        ("0.0.0.0", "10.1.2.3", True),
        (None, "anything", True),
    ],
)
def test_an_address_is_accepted_where_it_is_bound(bound: str | None, host: str, accepted: bool) -> None:
    assert Hosts(bound).accept(host) is accepted


def test_a_listed_name_is_accepted_and_a_star_is_any() -> None:
    assert Hosts("192.0.2.1", frozenset(("metrics.example",))).accept("Metrics.Example.:9000")
    assert not Hosts("192.0.2.1", frozenset(("metrics.example",))).accept("a.metrics.example")
    assert Hosts("192.0.2.1", frozenset(("*",))).accept("evil.example")


def test_a_name_is_taken_out_of_the_field() -> None:
    names = {" A.b:80": "a.b", "[::1]:80": "::1", "[fe80::1%25eth0]": "fe80::1", "a.": "a"}
    assert {host: name_of(host) for host in names} == names


def test_the_list_holds_names_without_ports() -> None:
    assert parse_hosts(" A.example., *,::1 ,") == "a.example,*,::1"
    for wrong in ("a:80", "http://a", "a b", "-a"):
        with pytest.raises(ValueError, match="must be host names or addresses"):
            parse_hosts(wrong)
