"""Lifespan: the table is whole, and each way through it ends as it should, in every mode."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from server_core.asgi.adapters import Application, Receive, Scope, Send
from server_core.asgi.lifespan import FINAL, OUT_OF_PLACE, TABLE, Cause, Lifespan, State
from server_core.errors import BootError

Events = list[tuple[str, dict[str, object]]]


def test_every_state_has_a_row_and_every_row_knows_the_end_of_the_task() -> None:
    assert set(TABLE) == set(State)
    for state, row in TABLE.items():
        assert {Cause.RETURNED, Cause.RAISED} <= row.keys(), state


def test_the_pairs_without_a_transition_are_exactly_these() -> None:
    said = {Cause.STARTUP_COMPLETE, Cause.STARTUP_FAILED, Cause.SHUTDOWN_COMPLETE, Cause.SHUTDOWN_FAILED, Cause.FOREIGN}
    taken = {Cause.STARTUP_TAKEN, Cause.SHUTDOWN_TAKEN}
    shutdown_said = {Cause.SHUTDOWN_COMPLETE, Cause.SHUTDOWN_FAILED}
    assert {
        State.CALLED: {Cause.SHUTDOWN_TAKEN} | shutdown_said,
        State.STARTING: taken | shutdown_said,
        State.STARTED: said,
        State.STOPPING: taken | said - shutdown_said,
        **dict.fromkeys(FINAL, taken | said),
    } == OUT_OF_PLACE


def test_final_states_are_left_by_nothing() -> None:
    for state in FINAL:
        assert set(TABLE[state].values()) == {state}


class Run:
    """One lifespan driven from outside, its log kept."""

    def __init__(self, app: Application, mode: str = "auto") -> None:
        self.events: Events = []
        self.lifespan = Lifespan(app, mode, name="main:app", log=self._log)

    def _log(self, event: str, /, **fields: object) -> None:
        self.events.append((event, fields))

    def names(self) -> list[str]:
        return [name for name, _ in self.events]


def drive(run: Run, *, shutdown_s: float | None = 20.0) -> Run:
    async def main() -> None:
        await run.lifespan.startup()
        if shutdown_s is not None:
            await run.lifespan.shutdown(shutdown_s)

    asyncio.run(main())
    return run


def failure(app: Application, mode: str = "auto") -> str:
    with pytest.raises(BootError) as caught:
        drive(Run(app, mode))
    assert caught.value.stage == "lifespan"
    return caught.value.report


def application(*steps: Callable[[Scope, Receive, Send], Awaitable[object]]) -> Application:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        for step in steps:
            await step(scope, receive, send)

    return app


async def take(_scope: Scope, receive: Receive, _send: Send) -> None:
    await receive()


async def explode(_scope: Scope, _receive: Receive, _send: Send) -> None:
    raise LookupError("no database")


async def leave(_scope: Scope, _receive: Receive, _send: Send) -> None:
    raise SystemExit(7)


def say(kind: str, **fields: object) -> Callable[[Scope, Receive, Send], Awaitable[None]]:
    async def step(_scope: Scope, _receive: Receive, send: Send) -> None:
        await send({"type": kind, **fields})

    return step


started = (take, say("lifespan.startup.complete"))
proper = (*started, take, say("lifespan.shutdown.complete"))


@pytest.mark.parametrize("mode", ["auto", "on"])
def test_a_proper_lifespan_starts_fills_the_state_and_stops(mode: str) -> None:
    heard: list[object] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        assert scope["type"] == "lifespan"
        heard.append((await receive())["type"])
        scope["state"]["pool"] = 1  # type: ignore[index]
        await send({"type": "lifespan.startup.complete"})
        heard.append((await receive())["type"])
        await send({"type": "lifespan.shutdown.complete"})

    run = drive(Run(app, mode))
    assert heard == ["lifespan.startup", "lifespan.shutdown"]
    assert run.lifespan.state == {"pool": 1}
    assert run.events == []


def test_off_never_calls_the_application() -> None:
    run = drive(Run(application(explode), "off"))
    assert run.events == []
    assert not run.lifespan.is_started


@pytest.mark.parametrize(
    "steps",
    [
        (explode,),
        (leave,),
        (),
        (take,),
        (say("http.response.start", status=200),),
        (take, say("http.response.start", status=200)),
    ],
    ids=["raises", "exits", "returns", "takes and returns", "answers as http", "takes and answers as http"],
)
def test_an_application_that_does_not_know_lifespan_is_served_without_in_auto_and_refused_in_on(
    steps: tuple[Callable[[Scope, Receive, Send], Awaitable[object]], ...],
) -> None:
    run = drive(Run(application(*steps)))
    assert run.names() == ["lifespan.unsupported"]
    assert not run.lifespan.is_started
    assert "does not support it" in failure(application(*steps), "on")


@pytest.mark.parametrize("mode", ["auto", "on"])
@pytest.mark.parametrize(("step", "said"), [(explode, "LookupError: no database"), (leave, "SystemExit: 7")])
def test_an_exception_after_startup_was_taken_is_a_boot_failure_with_the_traceback(
    mode: str, step: Callable[[Scope, Receive, Send], Awaitable[object]], said: str
) -> None:
    report = failure(application(take, step), mode)
    assert report.splitlines()[0] == "Traceback (most recent call last):"
    assert report.endswith(said)
    assert 'lifespan.py", line' not in report.replace("test_lifespan.py", "")


def test_startup_failed_is_a_boot_failure_with_the_message() -> None:
    assert failure(application(take, say("lifespan.startup.failed", message="no database\n"))) == "no database"


def test_startup_failed_without_a_message_is_explained_by_the_exception_that_follows() -> None:
    report = failure(application(take, say("lifespan.startup.failed"), explode))
    assert report.endswith("LookupError: no database")


def test_startup_failed_without_any_reason_says_so() -> None:
    assert "no reason" in failure(application(take, say("lifespan.startup.failed")))


def test_a_shutdown_that_fails_is_logged_with_its_reason() -> None:
    run = drive(Run(application(*started, take, say("lifespan.shutdown.failed", message="pool is stuck"))))
    assert run.events == [("lifespan.shutdown_failed", {"error": "pool is stuck"})]


def test_a_shutdown_that_raises_is_logged_with_the_traceback() -> None:
    (event,) = drive(Run(application(*started, take, explode))).events
    assert event[0] == "lifespan.shutdown_failed"
    assert str(event[1]["error"]).endswith("LookupError: no database")


def test_a_shutdown_that_never_ends_is_cut_off_at_its_budget() -> None:
    ended: list[str] = []

    async def hang(_scope: Scope, _receive: Receive, _send: Send) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.append("cancelled")

    run = drive(Run(application(*started, take, hang)), shutdown_s=0.05)
    assert run.events == [("lifespan.shutdown_failed", {"error": "not complete within 0.05 s"})]
    assert ended == ["cancelled"]


def test_a_cancelled_shutdown_cancels_the_application_and_says_so() -> None:
    taken = asyncio.Event()

    async def hang(_scope: Scope, _receive: Receive, _send: Send) -> None:
        taken.set()
        await asyncio.Event().wait()

    run = Run(application(*started, take, hang))

    async def main() -> None:
        await run.lifespan.startup()
        task = asyncio.create_task(run.lifespan.shutdown(20.0))
        await taken.wait()
        task.cancel()
        await asyncio.wait({task})
        assert task.cancelled()

    asyncio.run(main())
    assert run.events == [("lifespan.shutdown_failed", {"error": "cut short: terminated"})]


def test_a_lifespan_that_ends_early_is_logged_when_it_raised_and_shutdown_has_nothing_to_do() -> None:
    run = Run(application(*started, explode))

    async def main() -> None:
        await run.lifespan.startup()
        while run.lifespan.is_started:
            await asyncio.wait({asyncio.create_task(asyncio.Event().wait())}, timeout=0)
        await run.lifespan.shutdown(20.0)

    asyncio.run(main())
    assert run.names() == ["lifespan.shutdown_failed"]


def test_a_message_out_of_place_raises_in_the_application_and_moves_nothing() -> None:
    caught: list[str] = []

    async def twice(_scope: Scope, _receive: Receive, send: Send) -> None:
        try:
            await send({"type": "lifespan.startup.complete"})
        except RuntimeError as error:
            caught.append(str(error))

    run = drive(Run(application(*started, twice, take, say("lifespan.shutdown.complete"))))
    assert caught == ["'lifespan.startup.complete' has no place in lifespan state 'started'"]
    assert run.events == []


def test_startup_that_is_cancelled_cancels_the_application() -> None:
    ended: list[str] = []

    async def hang(_scope: Scope, _receive: Receive, _send: Send) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.append("cancelled")

    async def main() -> None:
        run = Run(application(take, hang))
        task = asyncio.create_task(run.lifespan.startup())
        await asyncio.wait({task}, timeout=0.01)
        task.cancel()
        await asyncio.wait({task})

    asyncio.run(main())
    assert ended == ["cancelled"]


def test_startup_and_shutdown_run_in_one_task() -> None:
    tasks: list[object] = []

    async def note(_scope: Scope, _receive: Receive, _send: Send) -> None:
        tasks.append(asyncio.current_task())

    drive(Run(application(take, note, say("lifespan.startup.complete"), take, note, say("lifespan.shutdown.complete"))))
    assert tasks[0] is tasks[1]


def test_an_application_that_goes_on_receiving_after_its_last_word_is_dismissed() -> None:
    run = drive(Run(application(*proper, take)))
    assert run.events == []
