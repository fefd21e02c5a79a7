"""Which loop is chosen, and that nothing an application raises through it ends it."""

from __future__ import annotations

import asyncio
import sys

import pytest

from server_core.errors import UsageError
from server_core.runtime.event_loop import choose, run

both = pytest.mark.parametrize("name", ["asyncio", "uvloop"])


@both
def test_the_named_loop_is_made(name: str) -> None:
    told, factory = choose(name)
    loop = factory()
    assert told == name
    assert type(loop).__module__.startswith(name)
    loop.close()


def test_auto_is_uvloop_where_it_can_be_imported_and_asyncio_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    assert choose("auto")[0] == "uvloop"
    monkeypatch.setitem(sys.modules, "uvloop", None)
    assert choose("auto") == ("asyncio", asyncio.new_event_loop)


def test_uvloop_by_name_is_refused_where_it_cannot_be_imported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "uvloop", None)
    with pytest.raises(UsageError, match=r"loop: uvloop cannot be imported .* auto or asyncio would be accepted"):
        choose("uvloop")


def leave(error: BaseException) -> None:
    raise error


@both
@pytest.mark.parametrize("error", [SystemExit(3), KeyboardInterrupt()])
def test_an_exit_from_a_callback_is_told_and_the_loop_goes_on(name: str, error: BaseException) -> None:
    told: list[BaseException] = []

    async def main(loop: asyncio.AbstractEventLoop) -> str:
        waiter = loop.create_future()
        loop.call_soon(leave, error)
        loop.call_soon(loop.call_soon, waiter.set_result, "still here")
        return str(await waiter)

    assert run(choose(name)[1], main, told.append) == "still here"
    assert told == [error]


@both
def test_an_exit_from_a_task_is_told_and_the_loop_goes_on(name: str) -> None:
    told: list[BaseException] = []

    async def background() -> None:
        raise SystemExit(3)

    async def main(loop: asyncio.AbstractEventLoop) -> str:
        task = loop.create_task(background())
        await asyncio.wait({task})
        return repr(task.exception())

    assert run(choose(name)[1], main, told.append) == "SystemExit(3)"
    assert [repr(error) for error in told] == ["SystemExit(3)"]


@both
def test_what_main_itself_raises_is_raised(name: str) -> None:
    told: list[BaseException] = []

    async def main(_loop: asyncio.AbstractEventLoop) -> None:
        raise SystemExit(4)

    with pytest.raises(SystemExit):
        run(choose(name)[1], main, told.append)
    assert told == []
