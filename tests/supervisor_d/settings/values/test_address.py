"""bind's syntax: what is read, in which one spelling it is kept, and what is refused."""

from __future__ import annotations

import pytest

from supervisor_d.settings.values.address import (
    Address,
    InheritedAddress,
    NamedAddress,
    TcpAddress,
    UnixAddress,
    parse_address,
)


@pytest.mark.parametrize(
    ("text", "address", "spelling"),
    [
        ("127.0.0.1:8000", TcpAddress("127.0.0.1", 8000), "127.0.0.1:8000"),
        ("localhost:0", TcpAddress("localhost", 0), "localhost:0"),
        ("api.example.com:65535", TcpAddress("api.example.com", 65535), "api.example.com:65535"),
        (":80", TcpAddress("0.0.0.0", 80), "0.0.0.0:80"),
        ("[::]:80", TcpAddress("::", 80), "[::]:80"),
        ("[::1]:80", TcpAddress("::1", 80), "[::1]:80"),
        ("[fe80::1%eth0]:80", TcpAddress("fe80::1%eth0", 80), "[fe80::1%eth0]:80"),
        (" 127.0.0.1:8000 ", TcpAddress("127.0.0.1", 8000), "127.0.0.1:8000"),
        ("unix:/run/x.sock", UnixAddress("/run/x.sock"), "unix:/run/x.sock"),
        ("unix:x.sock", UnixAddress("x.sock"), "unix:x.sock"),
        ("unix:@x", UnixAddress("@x"), "unix:@x"),
        ("fd://0", InheritedAddress(0), "fd://0"),
        ("fd://17", InheritedAddress(17), "fd://17"),
        ("fd://web", NamedAddress("web"), "fd://web"),
        ("fd://my-app@1.socket", NamedAddress("my-app@1.socket"), "fd://my-app@1.socket"),
    ],
)
def test_an_address_is_read_and_has_one_spelling(text: str, address: Address, spelling: str) -> None:
    assert parse_address(text) == address
    assert str(address) == spelling
    assert parse_address(spelling) == address


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("8000", "did you mean :8000 (every IPv4 interface) or 127.0.0.1:8000?"),
        ("127.0.0.1", "did you mean 127.0.0.1:PORT?"),
        ("[::1]", "did you mean [::1]:PORT?"),
        ("", "must be HOST:PORT"),
        ("127.0.0.1:", "a port from 0 to 65535, not ''"),
        ("127.0.0.1:http", "not 'http'"),
        ("127.0.0.1:65536", "not '65536'"),
        ("127.0.0.1:-1", "not '-1'"),
        ("127.0.0.1:٣", "a port from 0 to 65535"),
        ("::1:80", "in brackets, [::1]:PORT"),
        ("[::g]:80", "an IPv6 address in its brackets"),
        ("[127.0.0.1]:80", "is no host"),
        ("127.1:80", "'127.1' is no host"),
        ("256.0.0.1:80", "'256.0.0.1' is no host"),
        ("a b:80", "'a b' is no host"),
        ("http://127.0.0.1:80", "did you mean 127.0.0.1:80?"),
        ("http://", "did you mean HOST:PORT?"),
        ("https://x.org:443/", "did you mean x.org:443?"),
        ("/run/x.sock", "did you mean unix:/run/x.sock?"),
        ("localhost:80/x", "must be HOST:PORT"),
        ("unix:", "not nothing"),
        ("unix:@", "not nothing"),
        ("unix:/x\0y", "an abstract socket is @NAME"),
        ("unix:/" + "x" * 107, "at most 107 bytes, not 108"),
        ("unix:/" + "é" * 54, "at most 107 bytes, not 109"),
        ("fd://", "fd:// and a descriptor's number"),
        ("fd://-1", "fd:// and a descriptor's number"),
        ("fd://a:b", "fd:// and a descriptor's number or a passed socket's name"),
        ("fd://a b", "fd:// and a descriptor's number or a passed socket's name"),
        ("fd://a,b", "fd:// and a descriptor's number or a passed socket's name"),
    ],
)
def test_what_is_no_address_is_refused_with_what_would_be(text: str, said: str) -> None:
    with pytest.raises(ValueError) as caught:
        parse_address(text)
    assert said in str(caught.value)


def test_an_abstract_unix_address_knows_that_it_is_one() -> None:
    assert UnixAddress("@x").is_abstract
    assert not UnixAddress("/x").is_abstract
