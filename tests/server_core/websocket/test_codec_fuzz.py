"""Frames as no client should send them: the machine and an independent reading of RFC 6455 agree on every stream."""

from __future__ import annotations

import itertools
import random
import zlib

from hypothesis import example, given, settings
from hypothesis import strategies as st

from server_core.websocket.codec import FrameCodec
from server_core.websocket.deflate import Deflate
from tests.helpers.rfc6455 import CLOSE, PONG, Verdict
from tests.helpers.websocket import BINARY, CONT, PING, TEXT, close_frame, frame

MAX = 300


def told(out: bytes) -> list[tuple[int, bytes]]:
    """The short, unmasked frames that the machine has answered."""
    frames, at = [], 0
    while at < len(out):
        frames.append((out[at] & 15, out[at + 2 : at + 2 + out[at + 1]]))
        at += 2 + out[at + 1]
    return frames


def agree(stream: bytes, cuts: list[int], deflate: bool) -> None:
    """Whole or in pieces, the machine makes of a stream what the reference makes of it."""
    expected = Verdict(MAX, deflate=deflate).read(stream)
    for places in ([], cuts):
        messages: list[bytes | str] = []
        agreed = Deflate(12, 12, fresh_in=False, fresh_out=False) if deflate else None
        machine = FrameCodec(messages.append, max_size=MAX, deflate=agreed)
        at = [0, *sorted(min(cut, len(stream)) for cut in places), len(stream)]
        answers = told(b"".join(machine.receive(stream[begin:end]) for begin, end in itertools.pairwise(at)))
        assert messages == expected.messages
        assert [payload for opcode, payload in answers if opcode == PONG] == expected.pongs
        assert (machine.ended is None) == (expected.close is None)
        if machine.ended is not None and expected.close is not None:
            code, by_peer = expected.close
            assert machine.ended.code == code
            assert answers[-1][0] == CLOSE
            assert answers[-1][1][:2] == (b"" if code == 1005 and by_peer else code.to_bytes(2, "big"))
        else:
            assert all(opcode == PONG for opcode, _ in answers)


def squeezed(data: bytes) -> bytes:
    squeezer = zlib.compressobj(wbits=-12)
    return squeezer.compress(data) + squeezer.flush(zlib.Z_SYNC_FLUSH)[:-4]


PAYLOADS = st.one_of(st.binary(max_size=140), st.text(max_size=40).map(str.encode), st.just(b"\xe2\x82"))
FRAMES = st.one_of(
    st.builds(
        frame,
        st.sampled_from([CONT, CONT, TEXT, TEXT, BINARY, PING, PONG]),
        PAYLOADS,
        fin=st.booleans(),
        rsv=st.sampled_from([0, 0, 0, 0, 0x40]),
    ),
    st.builds(lambda data, kind: frame(kind, squeezed(data), rsv=0x40), PAYLOADS, st.sampled_from([TEXT, BINARY])),
    st.builds(frame, st.integers(0, 15), PAYLOADS, masked=st.booleans()),
    st.builds(close_frame, st.sampled_from([1000, 1004, 1012, 3000, 5000]), st.sampled_from([b"", b"bye", b"\xff"])),
)
CUTS = st.lists(st.integers(0, 600), max_size=6)


def mutated(frames: list[bytes], seed: int, changes: int) -> bytes:
    """The frames, with some bytes changed, put in or taken out, or the end cut off."""
    stream, chance = bytearray(b"".join(frames)), random.Random(seed)
    for _ in range(changes):
        at = chance.randrange(len(stream) + 1)
        match chance.randrange(4):
            case 0:
                stream[at : at + 1] = chance.randbytes(1)
            case 1:
                stream[at:at] = chance.randbytes(chance.randrange(1, 4))
            case 2:
                del stream[at : at + chance.randrange(1, 4)]
            case _:
                del stream[max(at, len(stream) // 2) :]
    return bytes(stream)


@settings(deadline=None, max_examples=400)
@given(st.lists(FRAMES, max_size=6), st.integers(0, 2**32), st.integers(0, 3), CUTS, st.booleans())
@example([frame(TEXT, b"\xf4\x90")[:-1]], 0, 0, [], False)
@example([frame(BINARY, squeezed(b"x" * (MAX + 1)), rsv=0x40)], 0, 0, [3], True)
@example([frame(BINARY, b"\xf3\x48\xcd\xc9\xc9\x07\x00\x00", rsv=0x40)] * 2, 0, 0, [9], True)  # RFC 7692 7.2.3.4
def test_a_broken_client_is_read_by_the_rules(
    frames: list[bytes], seed: int, changes: int, cuts: list[int], deflate: bool
) -> None:
    agree(mutated(frames, seed, changes), cuts, deflate)


@settings(deadline=None, max_examples=300)
@given(st.binary(max_size=200), CUTS, st.booleans())
def test_noise_is_read_by_the_rules(stream: bytes, cuts: list[int], deflate: bool) -> None:
    agree(stream, cuts, deflate)


@settings(deadline=None, max_examples=100)
@given(st.lists(FRAMES, max_size=3), st.booleans())
def test_a_stream_that_comes_byte_by_byte_is_the_same(frames: list[bytes], deflate: bool) -> None:
    stream = b"".join(frames)
    agree(stream, list(range(len(stream))), deflate)
