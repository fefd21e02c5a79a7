"""The shorter way into asyncio's set of tasks: who is in it, and who is not any more."""

from __future__ import annotations

import asyncio
import gc
import sys
from collections.abc import Iterator
from weakref import WeakSet

import pytest

from server_core.runtime.event_loop import choose
from server_core.runtime.task_registry import NAMES, lighten

has_a_set = pytest.mark.skipif(sys.version_info >= (3, 14), reason="asyncio keeps its tasks in a list of its own, in C")


def sets() -> list[WeakSet[asyncio.Task[object]]]:
    found = (getattr(asyncio.tasks, name, None) for name in NAMES)
    return [tasks for tasks in found if isinstance(tasks, WeakSet)]


def entered() -> int:
    """How many are in the sets, other tests' leftovers among them."""
    return sum(len(tasks) for tasks in sets())


@pytest.fixture
def lighter() -> Iterator[None]:
    before = [vars(tasks).copy() for tasks in sets()]
    lighten()
    yield
    for tasks, attributes in zip(sets(), before, strict=True):
        vars(tasks).clear()
        vars(tasks).update(attributes)


@pytest.mark.usefixtures("lighter")
@pytest.mark.parametrize("name", ["asyncio", "uvloop"])
def test_tasks_that_run_are_told_and_those_that_have_ended_are_not(name: str) -> None:
    async def nothing() -> None:
        pass

    async def scenario() -> None:
        loop = asyncio.get_running_loop()
        go, before = asyncio.Event(), entered()
        running = {loop.create_task(go.wait()) for _ in range(50)}
        brief = [loop.create_task(nothing()) for _ in range(50)]
        assert asyncio.all_tasks() == {asyncio.current_task(), *running, *brief}
        await asyncio.wait(brief)
        assert asyncio.all_tasks() == {asyncio.current_task(), *running}
        del brief
        go.set()
        await asyncio.wait(running)
        running.clear()
        gc.collect()
        assert entered() <= before, "what nobody holds any more is in no set"

    with asyncio.Runner(loop_factory=choose(name)[1]) as runner:
        gc.collect()
        runner.run(scenario())


@has_a_set
@pytest.mark.usefixtures("lighter")
def test_it_is_a_way_that_this_python_has() -> None:
    assert lighten()
    assert all("add" in vars(tasks) for tasks in sets())


def test_a_set_of_somebody_s_own_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    class Own(WeakSet[object]):
        """Counts, perhaps."""

    for name in NAMES:
        monkeypatch.setattr(asyncio.tasks, name, Own(), raising=False)
    assert not lighten()
