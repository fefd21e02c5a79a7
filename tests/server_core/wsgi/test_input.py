"""wsgi.input: any split, read in any way, comes to the bytes that were sent."""

from __future__ import annotations

import io

from hypothesis import given, settings
from hypothesis import strategies as st

from server_core.wsgi.input import Input

BODIES = st.lists(st.binary(max_size=12).map(lambda part: part.replace(b"\0", b"\n")), max_size=8)
SIZES = st.one_of(st.none(), st.integers(-1, 20))
STEPS = st.lists(st.tuples(st.sampled_from(["read", "readline", "readlines", "next"]), SIZES), max_size=12)


class Parts:
    """A source that gives what came in the parts in which it came."""

    def __init__(self, parts: list[bytes]) -> None:
        self.parts = [part for part in parts if part]

    def take(self, limit: int) -> bytes:
        assert limit > 0
        if not self.parts:
            return b""
        part = self.parts.pop(0)
        if len(part) > limit:
            self.parts.insert(0, part[limit:])
        return part[:limit]


def step(stream: Input | io.BytesIO, how: str, size: int | None) -> object:
    if how == "next":
        return next(iter(stream), b"")
    return getattr(stream, how)(-1 if size is None else size)


@settings(deadline=None)  # no test depends on speed
@given(BODIES, STEPS)
def test_it_reads_as_a_file_in_memory_does(parts: list[bytes], steps: list[tuple[str, int | None]]) -> None:
    stream, model = Input(Parts(parts)), io.BytesIO(b"".join(parts))
    for how, size in steps:
        assert step(stream, how, size) == step(model, how, size), (how, size)
    assert stream.read() == model.read()
    assert stream.read(1) == stream.readline() == b""
    assert stream.readlines() == list(stream) == []


def test_a_line_of_many_parts_is_whole() -> None:
    assert Input(Parts([b"x" * 1000] * 4800 + [b"y\n", b"z"])).readline() == b"x" * 4_800_000 + b"y\n"
