"""The descriptor that s6 opens: what may be one, and what is written to it."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import suppress

import pytest

from supervisor_d.errors import ConfigurationError
from supervisor_d.host.system.ready_descriptor import take


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    """A reading and a writing end; what the test has closed is closed."""
    reading, writing = os.pipe()
    os.set_inheritable(writing, True)
    yield reading, writing
    for fd in (reading, writing):
        with suppress(OSError):  # EBADF
            os.close(fd)


def test_a_newline_is_written_once_and_the_descriptor_closed(pipe: tuple[int, int]) -> None:
    reading, writing = pipe
    failures: list[str] = []
    ready = take(writing, "flag --ready-fd", failures.append)
    assert ready is not None
    assert not os.get_inheritable(writing), "a worker would hold it open"
    ready.tell()
    ready.tell()
    assert (os.read(reading, 10), os.read(reading, 10), failures) == (b"\n", b"", [])


def test_one_that_is_never_told_is_closed_without_a_newline(pipe: tuple[int, int]) -> None:
    reading, writing = pipe
    ready = take(writing, "flag --ready-fd", pytest.fail)
    assert ready is not None
    ready.close()
    ready.close()
    assert os.read(reading, 10) == b""


def test_a_reader_that_is_gone_and_a_full_pipe_are_reported_and_not_waited_for(pipe: tuple[int, int]) -> None:
    reading, writing = pipe
    os.set_blocking(writing, False)
    with suppress(BlockingIOError):
        while True:
            os.write(writing, bytes(4096))
    os.set_blocking(writing, True)
    other = os.dup(writing)
    os.set_inheritable(other, True)
    failures: list[str] = []
    for number in (writing, other):
        ready = take(number, "flag --ready-fd", failures.append)
        assert ready is not None
        ready.tell()
        if number == writing:
            os.close(reading)
    assert failures == ["its pipe is full, and is not read", "Broken pipe"]


def test_what_cannot_be_written_to_is_refused_by_name(pipe: tuple[int, int]) -> None:
    reading, writing = pipe
    with socket.create_server(("127.0.0.1", 0)) as listener, open(os.devnull, "w") as ours:
        os.close(writing)
        os.set_inheritable(reading, True)
        os.set_inheritable(listener.fileno(), True)
        for number, reason in (
            (writing, f"descriptor {writing} is not; s6 opens"),
            (ours.fileno(), f"descriptor {ours.fileno()} is a file of our own"),
            (reading, f"descriptor {reading} is open for reading only"),
            (listener.fileno(), f"descriptor {listener.fileno()} is a listening socket"),
        ):
            with pytest.raises(ConfigurationError) as raised:
                take(number, "flag --ready-fd", pytest.fail)
            assert reason in str(raised.value)
            assert str(raised.value).startswith("ready-fd: must ")
            assert str(raised.value).endswith("(from flag --ready-fd)")


def test_none_is_wanted_by_default() -> None:
    assert take(0, "default", pytest.fail) is None
