"""What threads are in is read without harm while they run."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Iterator
from types import CodeType, FunctionType

import pytest

from server_core.runtime import stacks
from server_core.worker.debugger import is_debugged

READINGS = 2_000


def _descend(depth: int) -> Iterator[int]:
    """Frames of generators within frames of generators: the kind whose way back CPython 3.11 lost."""
    yield depth
    if depth:
        yield from _descend(depth - 1)


def test_stacks_are_read_of_threads_that_run() -> None:
    ends = threading.Event()

    def run() -> None:
        while not ends.is_set():
            sum(_descend(20))

    thread = threading.Thread(target=run)
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    thread.start()
    try:
        assert thread.ident is not None
        for _ in range(READINGS):
            calls = stacks.of_threads()[thread.ident]
            assert calls[0].name == "_bootstrap"
            assert {call.filename for call in calls} <= {threading.__file__, __file__}
    finally:
        ends.set()
        thread.join()
        sys.setswitchinterval(interval)


def test_the_outermost_call_comes_first_with_its_source() -> None:
    calls = stacks.of_threads()[threading.get_ident()]
    (own,) = [call for call in calls if call.filename == __file__]
    assert own.name == "test_the_outermost_call_comes_first_with_its_source"
    assert own.line == "calls = stacks.of_threads()[threading.get_ident()]"
    assert calls[-1].name == "_text"


@pytest.mark.parametrize("lines", [None, b""], ids=["with its lines", "without"])
def test_a_file_may_have_any_name_and_a_call_no_line(lines: bytes | None) -> None:
    name = 'a", line 7 in b.py'
    (code,) = (
        constant
        for constant in compile("def call():\n    return of_threads()\n", name, "exec").co_consts
        if isinstance(constant, CodeType)
    )
    kept = code if lines is None else code.replace(co_linetable=lines)
    calls = FunctionType(kept, {"of_threads": stacks.of_threads})()[threading.get_ident()]
    found = [(call.lineno, call.name) for call in calls if call.filename == name]
    assert found == [(2 if lines is None else None, "call")]


def test_without_a_descriptor_there_are_no_stacks(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(name: str) -> int:
        raise OSError(24, "Too many open files", name)

    monkeypatch.setattr(os, "memfd_create", refuse)
    assert stacks.of_threads() == {}
    assert not is_debugged(threading.get_ident())
