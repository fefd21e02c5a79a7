"""PROXY headers, versions 1 and 2, by tables and against a small reference."""

from __future__ import annotations

import re
import socket
import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from server_core.proxy.protocol_header import LONGEST, V1_LONGEST, V2_SIGNATURE, Header, NotProxied, read_header

V4 = socket.inet_aton("192.0.2.1") + socket.inet_aton("198.51.100.7") + struct.pack("!HH", 4711, 443)
V6 = (
    socket.inet_pton(socket.AF_INET6, "2001:db8::1")
    + socket.inet_pton(socket.AF_INET6, "2001:db8::2")
    + struct.pack("!HH", 4711, 443)
)
UNIX = b"/run/client".ljust(108, b"\x00") + b"/run/server".ljust(108, b"\x00")


def v2(payload: bytes, *, command: int = 0x21, family: int = 0x11, length: int | None = None) -> bytes:
    size = len(payload) if length is None else length
    return V2_SIGNATURE + bytes([command, family]) + struct.pack("!H", size) + payload


GOOD = [
    (b"PROXY TCP4 192.0.2.1 198.51.100.7 4711 443\r\n", ("192.0.2.1", 4711), ("198.51.100.7", 443)),
    (b"PROXY TCP4 255.255.255.255 255.255.255.255 65535 0\r\n", ("255.255.255.255", 65535), ("255.255.255.255", 0)),
    (b"PROXY TCP6 2001:db8::1 ::1 4711 443\r\n", ("2001:db8::1", 4711), ("::1", 443)),
    (b"PROXY UNKNOWN\r\n", None, None),
    (b"PROXY UNKNOWN ffff::1 whatever \x00 it is\r\n", None, None),
    (v2(V4), ("192.0.2.1", 4711), ("198.51.100.7", 443)),
    (v2(V4, family=0x12), ("192.0.2.1", 4711), ("198.51.100.7", 443)),
    (v2(V6, family=0x21), ("2001:db8::1", 4711), ("2001:db8::2", 443)),
    (v2(UNIX, family=0x31), "/run/client", "/run/server"),
    (v2(bytes(216), family=0x32), "", ""),
    (v2(b"\x00abstract".ljust(108, b"x") + bytes(108), family=0x31), "", ""),
    (v2(V4 + b"\x04\x00\x03abc" + b"\x20\x00\x05\x01\x00\x00\x00\x00"), ("192.0.2.1", 4711), ("198.51.100.7", 443)),
    (v2(V4 + bytes(LONGEST - 28)), ("192.0.2.1", 4711), ("198.51.100.7", 443)),
    (v2(b"", command=0x20, family=0x00), None, None),
    (v2(V4, command=0x20), None, None),
    (v2(b"xyz", command=0x20, family=0xFF), None, None),
    (v2(b"", family=0x00), None, None),
    (v2(b"abc", family=0x00), None, None),
    (v2(V4, family=0x10), None, None),
    (v2(b"", family=0x01), None, None),
]


@pytest.mark.parametrize(("header", "client", "server"), GOOD)
def test_a_header_is_read_and_what_follows_it_is_left(header: bytes, client: object, server: object) -> None:
    for behind in (b"", b"GET / HTTP/1.1\r\n", b"\r\n", header):
        assert read_header(header + behind) == Header(len(header), client, server)  # type: ignore[arg-type]  # as above


@pytest.mark.parametrize("header", [header for header, *_ in GOOD])
def test_a_part_of_a_header_may_become_one(header: bytes) -> None:
    for size in range(len(header)):
        assert read_header(header[:size]) is None


@pytest.mark.parametrize(
    "data",
    [
        b"GET / HTTP/1.1\r\n",
        b"\x16\x03\x01\x02\x00",
        b"P ",
        b"proxy TCP4 192.0.2.1 198.51.100.7 4711 443\r\n",
        b"PROXY\r\n",
        b"PROXY \r\n",
        b"PROXY TCP5 192.0.2.1 198.51.100.7 4711 443\r\n",
        b"PROXY TCP4 192.0.2.1 198.51.100.7 4711\r\n",
        b"PROXY TCP4 192.0.2.1 198.51.100.7 4711 443 \r\n",
        b"PROXY TCP4 192.0.2.1  198.51.100.7 4711 443\r\n",
        b"PROXY TCP4 192.0.2.01 198.51.100.7 4711 443\r\n",
        b"PROXY TCP4 192.0.2 198.51.100.7 4711 443\r\n",
        b"PROXY TCP4 ::1 ::1 4711 443\r\n",
        b"PROXY TCP6 192.0.2.1 198.51.100.7 4711 443\r\n",
        b"PROXY TCP6 fe80::1%eth0 ::1 4711 443\r\n",
        b"PROXY TCP4 \xd9\xa1.0.2.1 198.51.100.7 4711 443\r\n",
        b"PROXY TCP4 192.0.2.1 198.51.100.7 04711 443\r\n",
        b"PROXY TCP4 192.0.2.1 198.51.100.7 65536 443\r\n",
        b"PROXY TCP4 192.0.2.1 198.51.100.7 -1 443\r\n",
        b"PROXY TCP4 192.0.2.1 198.51.100.7 4711 443\n\r\n",
        b"PROXY UNKNOWN".ljust(V1_LONGEST, b" "),
        b"PROXY UNKNOWN".ljust(V1_LONGEST - 1, b" ") + b"\r\n",
        b"\r\n\r\n\x00\r\nQUIT\r",
        v2(V4, command=0x11),
        v2(V4, command=0x31),
        v2(V4, command=0x22),
        v2(V4, family=0x41),
        v2(V4, family=0x13),
        v2(V4[:-1]),
        v2(V4, family=0x21),
        v2(UNIX[:-1], family=0x31),
        v2(b"", length=LONGEST - 15),
        v2(b"", length=65535),
    ],
)
def test_what_is_no_header_is_refused(data: bytes) -> None:
    with pytest.raises(NotProxied):
        read_header(data)


V1_GRAMMAR = re.compile(rb"PROXY (?:UNKNOWN(?: .*?)?|(TCP4|TCP6) ([^ ]+) ([^ ]+) (\d+) (\d+))\r\n", re.DOTALL)


def reference(data: bytes) -> object:
    """The same by other means: "more", "no", or (length, client, server)."""
    if data[:12] == V2_SIGNATURE[: len(data)] and data:
        if len(data) < 16:
            return "more"
        version_command, family, length = struct.unpack("!BBH", data[12:16])
        need = {0x11: 12, 0x12: 12, 0x21: 36, 0x22: 36, 0x31: 216, 0x32: 216}.get(family)
        nothing_told = version_command == 0x20 or (family >> 4 < 4 and family & 15 < 3 and need is None)
        if version_command not in (0x20, 0x21) or length > LONGEST - 16 or (need is None and not nothing_told):
            return "no"
        if len(data) < 16 + length:
            return "more"
        body = data[16 : 16 + length]
        if nothing_told:
            return 16 + length, None, None
        assert need is not None
        if length < need:
            return "no"
        if need == 216:
            names = [part.split(b"\x00")[0].decode("utf-8", "backslashreplace") for part in (body[:108], body[108:216])]
            return 16 + length, *names
        kind, size = (socket.AF_INET, 4) if need == 12 else (socket.AF_INET6, 16)
        ports = struct.unpack("!HH", body[2 * size : need])
        hosts = [socket.inet_ntop(kind, part) for part in (body[:size], body[size : 2 * size])]
        return 16 + length, (hosts[0], ports[0]), (hosts[1], ports[1])
    return "no"


def outcome(data: bytes) -> object:
    try:
        found = read_header(data)
    except NotProxied:
        return "no"
    return "more" if found is None else tuple(found)


BODIES = st.sampled_from([V4, V6, UNIX, b"", V4 + b"tail", bytes(12)]) | st.binary(max_size=260)
BYTES = st.integers(0, 255)


@settings(max_examples=400, deadline=None)
@given(
    body=BODIES,
    command=st.sampled_from([0x20, 0x21]) | BYTES,
    family=st.sampled_from([0x00, 0x11, 0x21, 0x31]) | BYTES,
    missing=st.integers(0, 20) | st.just(0),
    lie=st.sampled_from([0, 0, 0, 1, -1, 5000]),
)
def test_version_2_agrees_with_the_reference(body: bytes, command: int, family: int, missing: int, lie: int) -> None:
    data = v2(body, command=command, family=family, length=max(0, len(body) + lie))
    data = data[: len(data) - missing]
    if len(data) < 12:
        return
    assert outcome(data) == reference(data)


WORDS = st.sampled_from(
    [b"PROXY", b"TCP4", b"TCP6", b"UNKNOWN", b"192.0.2.1", b"::1", b"4711", b"0", b"65536", b"", b"%", b"\r", b"\n"]
)


@settings(max_examples=400, deadline=None)
@given(words=st.lists(WORDS | st.binary(max_size=4), max_size=6), end=st.sampled_from([b"\r\n", b"\r\n", b"\n", b""]))
def test_version_1_takes_nothing_that_is_not_in_the_grammar(words: list[bytes], end: bytes) -> None:
    data = b" ".join([b"PROXY", *words]) + end
    found = outcome(data)
    if isinstance(found, tuple):
        length, client, server = found
        match = V1_GRAMMAR.match(data[:length])
        assert match is not None
        assert data[:length].endswith(b"\r\n")
        assert length <= V1_LONGEST
        if match[1] is None:
            assert client is server is None
        else:
            kind = {b"TCP4": socket.AF_INET, b"TCP6": socket.AF_INET6}[match[1]]
            assert socket.inet_pton(kind, client[0]) == socket.inet_pton(kind, match[2].decode())
            assert (client[1], server[1]) == (int(match[4]), int(match[5]))
    elif found == "more":
        assert b"\r\n" not in data
        assert len(data) < V1_LONGEST


@settings(max_examples=400, deadline=None)
@given(data=st.binary(max_size=300), start=st.sampled_from([b"", b"PROXY ", V2_SIGNATURE, V2_SIGNATURE + b"\x21\x11"]))
def test_any_bytes_are_a_header_no_header_or_not_yet_one_and_stay_so(data: bytes, start: bytes) -> None:
    data = start + data
    whole = outcome(data)
    for size in range(len(data)):
        part = outcome(data[:size])
        assert part in ("more", whole)
