"""Frames: whatever comes, messages come out whole, rules are kept, and nothing raises."""

from __future__ import annotations

import itertools
import struct
import zlib
from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from server_core.websocket.codec import FrameCodec
from server_core.websocket.deflate import negotiate
from server_core.websocket.frame_codec import Ended
from tests.helpers.websocket import BINARY, CLOSE, CONT, PING, PONG, TEXT, close_frame, frame

MAX = 100_000


@dataclass
class Peer:
    """A machine, and what it was heard to say."""

    deflate: bool = False
    messages: list[bytes | str] = field(default_factory=list)
    out: bytes = b""

    def __post_init__(self) -> None:
        agreed = negotiate([b"permessage-deflate"]) if self.deflate else None
        self.machine = FrameCodec(self.messages.append, max_size=MAX, deflate=agreed[1] if agreed else None)

    def feed(self, *pieces: bytes) -> Peer:
        for piece in pieces:
            self.out += self.machine.receive(piece)
        return self

    @property
    def code(self) -> int | None:
        return self.machine.ended.code if self.machine.ended else None


def told(code: int) -> bytes:
    """How a server's close frame with this code begins, without its length."""
    return struct.pack("!H", code)


SIZES = [0, 1, 125, 126, 127, 8192, 8193, 65535, 65536, MAX]


@pytest.mark.parametrize("size", SIZES)
def test_a_message_of_any_size_comes_out_whole(size: int) -> None:
    data = bytes(index % 251 for index in range(size))
    peer = Peer().feed(frame(BINARY, data), frame(TEXT, b"x" * size))
    assert peer.messages == [data, "x" * size]
    assert type(peer.messages[0]) is bytes
    assert peer.out == b""


@pytest.mark.parametrize("size", SIZES)
def test_a_message_goes_out_in_one_unmasked_frame(size: int) -> None:
    data = b"y" * size
    out = Peer().machine.message(data)
    assert (out if isinstance(out, bytes) else b"".join(out)) == frame(BINARY, data, masked=False)
    out = Peer().machine.message(data.decode())
    assert (out if isinstance(out, bytes) else b"".join(out)) == frame(TEXT, data, masked=False)


def test_pings_are_answered_between_fragments() -> None:
    stream = frame(TEXT, b"a", fin=False) + frame(PING, b"p") + frame(CONT, b"", fin=False) + frame(CONT, b"b")
    peer = Peer().feed(stream)
    assert peer.messages == ["ab"]
    assert peer.out == frame(PONG, b"p", masked=False)


@pytest.mark.parametrize(
    ("stream", "code"),
    [
        (frame(TEXT, b"x", masked=False), 1002),
        (frame(TEXT, b"x", rsv=0x40), 1002),
        (frame(TEXT, b"x", rsv=0x20), 1002),
        (frame(3, b"x"), 1002),
        (frame(11), 1002),
        (frame(CONT, b"x"), 1002),
        (frame(TEXT, b"x", fin=False) + frame(TEXT, b"y"), 1002),
        (frame(PING, b"x" * 126), 1002),
        (frame(PING, b"x", fin=False), 1002),
        (b"\x82\xfe\x00\x7d" + bytes(4 + 125), 1002),
        (b"\x82\xff" + (65535).to_bytes(8, "big") + bytes(4), 1002),
        (frame(CLOSE, b"\x03"), 1002),
        (close_frame(1005), 1002),
        (close_frame(1006), 1002),
        (close_frame(999), 1002),
        (close_frame(5000), 1002),
        (close_frame(1000, b"\xff"), 1007),
        (frame(TEXT, b"\xff"), 1007),
        (frame(TEXT, b"\xed\xa0\x80"), 1007),
        (frame(TEXT, b"\xc3", fin=False) + frame(CONT, b"\x28", fin=False), 1007),
        (frame(TEXT, b"\xc3", fin=False) + frame(CONT), 1007),
        (frame(BINARY, b"x" * (MAX + 1)), 1009),
        (frame(BINARY, b"x" * MAX)[:14].replace(struct.pack("!Q", MAX), struct.pack("!Q", MAX + 1)), 1009),
        (frame(BINARY, b"x" * MAX, fin=False) + frame(CONT, b"x"), 1009),
    ],
)
def test_a_broken_rule_ends_the_connection_with_its_code(stream: bytes, code: int) -> None:
    peer = Peer().feed(stream)
    assert peer.code == code
    assert peer.out[:1] == b"\x88"
    assert peer.out[2:4] == told(code)
    assert peer.messages == []
    assert peer.machine.receive(frame(TEXT, b"more")) == b""
    assert peer.messages == []


def test_what_came_before_a_broken_rule_is_delivered() -> None:
    peer = Peer().feed(frame(TEXT, b"good") + frame(TEXT, b"\xff") + frame(TEXT, b"late"))
    assert peer.messages == ["good"]
    assert peer.code == 1007


@pytest.mark.parametrize(
    ("payload", "ended"),
    [
        (b"", Ended(1005, "")),
        (told(1000), Ended(1000, "")),
        (told(1001) + b"bye", Ended(1001, "bye")),
        (told(4999) + "\u00fc".encode(), Ended(4999, "\u00fc")),
    ],
)
def test_a_close_frame_is_answered_with_itself(payload: bytes, ended: Ended) -> None:
    peer = Peer().feed(frame(CLOSE, payload) + frame(TEXT, b"late"))
    assert peer.machine.ended == ended
    assert peer.out == frame(CLOSE, payload, masked=False)
    assert peer.messages == []


def test_a_close_frame_may_come_between_fragments() -> None:
    peer = Peer().feed(frame(TEXT, b"a", fin=False), close_frame(1000))
    assert peer.machine.ended == Ended(1000, "")
    assert peer.out == frame(CLOSE, told(1000), masked=False)


def test_our_close_frame_goes_out_once_and_the_peers_code_is_what_counts() -> None:
    peer = Peer()
    assert peer.machine.close(1012, "again") == frame(CLOSE, told(1012) + b"again", masked=False)
    assert peer.machine.close(1000, "") == b""
    peer.feed(frame(TEXT, b"on its way"), close_frame(1000))
    assert peer.out == b""
    assert peer.machine.ended == Ended(1000, "")


def test_a_ping_is_one() -> None:
    assert Peer().machine.ping() == frame(PING, masked=False)


def test_a_compressed_message_is_read_and_answered_compressed() -> None:
    peer = Peer(deflate=True)
    squeezed = zlib.compressobj(wbits=-12)
    data = squeezed.compress(b"hello " * 1000) + squeezed.flush(zlib.Z_SYNC_FLUSH)
    peer.feed(frame(TEXT, data[:-4], rsv=0x40))
    assert peer.messages == ["hello " * 1000]
    out = peer.machine.message("hello " * 1000)
    assert isinstance(out, bytes)
    assert out[0] == 0xC1
    assert zlib.decompressobj(wbits=-12).decompress(out[2:] + b"\0\0\xff\xff") == b"hello " * 1000


def test_a_message_that_grows_too_large_ends_with_1009() -> None:
    squeezed = zlib.compressobj(wbits=-12)
    bomb = squeezed.compress(bytes(MAX + 1)) + squeezed.flush(zlib.Z_SYNC_FLUSH)
    assert len(bomb) < 1000
    peer = Peer(deflate=True).feed(frame(BINARY, bomb[:-4], rsv=0x40))
    assert peer.code == 1009
    assert peer.messages == []


def test_what_is_no_deflate_ends_the_connection() -> None:
    peer = Peer(deflate=True).feed(frame(BINARY, b"\xff\xff\xff\xff", rsv=0x40))
    assert peer.code in (1002, 1007)
    assert peer.messages == []


FRAMES = st.builds(
    frame,
    st.sampled_from([CONT, TEXT, TEXT, BINARY, PING, PONG, CLOSE, 3]),
    st.one_of(st.binary(max_size=200), st.text(max_size=50).map(str.encode)),
    fin=st.booleans(),
    rsv=st.sampled_from([0, 0, 0, 0x40]),
)
CUTS = st.lists(st.integers(0, 2000), max_size=8)


def split(data: bytes, cuts: list[int]) -> list[bytes]:
    at = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
    return [data[begin:end] for begin, end in itertools.pairwise(at)]


@settings(deadline=None, max_examples=150)
@given(st.lists(FRAMES, max_size=6), CUTS, st.booleans())
def test_how_the_bytes_are_cut_changes_nothing(frames: list[bytes], cuts: list[int], deflate: bool) -> None:
    stream = b"".join(frames)
    whole, pieces = Peer(deflate).feed(stream), Peer(deflate).feed(*split(stream, cuts))
    assert pieces.messages == whole.messages
    assert pieces.machine.ended == whole.machine.ended
    assert pieces.out == whole.out


@settings(deadline=None, max_examples=150)
@given(st.binary(max_size=300), CUTS, st.booleans())
def test_bytes_at_random_never_raise(data: bytes, cuts: list[int], deflate: bool) -> None:
    peer = Peer(deflate).feed(*split(data, cuts))
    assert peer.code in (None, 1002, 1005, 1007, 1009) or 1000 <= (peer.code or 0) < 5000


@settings(deadline=None, max_examples=100)
@given(st.lists(st.one_of(st.binary(max_size=300), st.text(max_size=100)), max_size=5), st.booleans())
def test_messages_cut_into_fragments_come_out_as_they_were(messages: list[bytes | str], deflate: bool) -> None:
    peer = Peer(deflate)
    for message in messages:
        data = message if isinstance(message, bytes) else message.encode()
        first = BINARY if isinstance(message, bytes) else TEXT
        third = len(data) // 3
        peer.feed(
            frame(first, data[:third], fin=False),
            frame(CONT, data[third : 2 * third], fin=False),
            frame(CONT, data[2 * third :]),
        )
    assert peer.messages == messages
    assert peer.machine.ended is None
