"""On the way to a connection: steps without a task, and an end that is always heard of."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine

import pytest

from server_core.listen.pending_connection import PendingConnection
from server_core.runtime.server_loop import ServerLoop
from tests.helpers.http import run, turn, until

LOOPS = ("asyncio", "uvloop")


class Journey:
    """One coroutine under way, and what became of it."""

    def __init__(self, coroutine: Coroutine[object, object, None]) -> None:
        self.settled: list[PendingConnection] = []
        self.told: list[dict[str, object]] = []
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda _, told: self.told.append(told))
        self.arrival = PendingConnection(ServerLoop(loop), coroutine, self.settled.append)
        self.arrival.go()


@pytest.mark.parametrize("loop", LOOPS)
def test_the_first_step_is_taken_at_once_and_the_next_when_what_it_waits_for_is_there(loop: str) -> None:
    async def scenario() -> None:
        first, second = (asyncio.get_running_loop().create_future() for _ in range(2))
        steps: list[object] = []

        async def way() -> None:
            steps.append("set out")
            steps.append(await first)
            steps.append(await second)

        journey = Journey(way())
        assert steps == ["set out"]
        first.set_result("half of it")
        await until(lambda: len(steps) == 2)
        assert not journey.settled
        second.set_result("all of it")
        await until(lambda: journey.settled)
        assert steps == ["set out", "half of it", "all of it"]
        assert journey.settled == [journey.arrival]
        journey.arrival.cancel()
        await turn()
        assert journey.settled == [journey.arrival], "it is over once"
        assert not journey.told

    run(scenario(), loop=loop)


def test_who_waits_for_nothing_is_there_at_once() -> None:
    async def scenario() -> None:
        async def way() -> None:
            pass

        journey = Journey(way())
        assert journey.settled == [journey.arrival]

    run(scenario())


@pytest.mark.parametrize("loop", LOOPS)
def test_one_that_is_given_up_cleans_up_first(loop: str) -> None:
    async def scenario() -> None:
        cleaned = []

        async def way() -> None:
            try:
                await asyncio.get_running_loop().create_future()
            except asyncio.CancelledError:
                cleaned.append(True)
                raise

        journey = Journey(way())
        journey.arrival.cancel()
        journey.arrival.cancel()
        assert not cleaned, "not inside of whoever gives it up"
        await until(lambda: journey.settled)
        assert cleaned == [True]
        assert not journey.told

    run(scenario(), loop=loop)


def test_an_error_is_told_and_ends_it() -> None:
    async def scenario() -> None:
        async def way() -> None:
            raise RuntimeError("no way")

        journey = Journey(way())
        assert journey.settled == [journey.arrival]
        assert str(journey.told[0]["exception"]) == "no way"

    run(scenario())


def test_a_client_that_has_gone_is_no_error() -> None:
    async def scenario() -> None:
        async def way() -> None:
            raise ConnectionResetError

        journey = Journey(way())
        assert journey.settled == [journey.arrival]
        assert not journey.told

    run(scenario())
