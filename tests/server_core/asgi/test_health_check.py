"""The health probe: what it asks, which answers are sound, and what it says of the others."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from server_core.asgi.adapters import Application, AsgiMessage, Receive, Scope, Send
from server_core.asgi.health_check import BODY_TOLD, probe, probe_scope
from server_core.errors import BootError


def ask(app: Application, path: str = "/health") -> None:
    asyncio.run(probe(app, path, root_path="", state={"pool": 1}))


def unsound(app: Application) -> str:
    with pytest.raises(BootError) as caught:
        ask(app)
    assert caught.value.stage == "probe"
    return caught.value.report


def saying(*messages: AsgiMessage) -> Application:
    async def app(_scope: Scope, _receive: Receive, send: Send) -> None:
        for message in messages:
            await send(message)

    return app


def start(status: object) -> AsgiMessage:
    return {"type": "http.response.start", "status": status, "headers": []}


END: AsgiMessage = {"type": "http.response.body", "body": b""}


@pytest.mark.parametrize("status", [200, 204, 299, 302, 399])
def test_2xx_and_3xx_are_sound(status: int) -> None:
    ask(saying(start(status), END))


@pytest.mark.parametrize("status", [404, 500, 503])
def test_any_other_status_is_told_with_the_beginning_of_the_body(status: int) -> None:
    report = unsound(saying(start(status), {"type": "http.response.body", "body": b"no database" + b"." * 9999}))
    assert report.startswith(f"GET /health was answered {status}, not 2xx or 3xx: no database...")
    assert len(report) < BODY_TOLD + 100


def test_an_application_that_returns_without_an_answer_is_unsound() -> None:
    assert unsound(saying()) == "GET /health was not answered, not 2xx or 3xx"


def test_an_answer_without_an_end_is_unsound() -> None:
    more: AsgiMessage = {"type": "http.response.body", "body": b"x", "more_body": True}
    assert "never ended" in unsound(saying(start(200), more))


@pytest.mark.parametrize("error", [LookupError("no database"), SystemExit(3)])
def test_an_exception_is_told_with_the_applications_traceback(error: BaseException) -> None:
    async def app(_scope: Scope, _receive: Receive, _send: Send) -> None:
        raise error

    report = unsound(app)
    assert report.startswith("GET /health raised:\nTraceback")
    assert "/health_check.py" not in report.replace("test_health_check.py", "")


@pytest.mark.parametrize("message", [{"type": "websocket.accept"}, start("200")])
def test_what_is_no_answer_to_a_get_is_unsound(message: AsgiMessage) -> None:
    assert "Error" in unsound(saying(message))


def test_it_asks_as_a_client_on_this_machine_would() -> None:
    scope = probe_scope("/a%20b/c?deep=1", "/root", {"pool": 1})
    assert (scope["path"], scope["raw_path"], scope["query_string"]) == ("/root/a b/c", b"/a%20b/c", b"deep=1")
    assert (scope["method"], scope["root_path"], scope["state"]) == ("GET", "/root", {"pool": 1})
    assert (b"host", b"localhost") in scope["headers"]  # type: ignore[operator]


def test_the_state_is_a_copy_and_absent_without_lifespan() -> None:
    state: dict[str, object] = {"pool": 1}
    assert probe_scope("/", "", state)["state"] is not state
    assert "state" not in probe_scope("/", "", None)


def test_it_runs_in_a_task_of_its_own() -> None:
    tasks: list[object] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        tasks.append(asyncio.current_task())
        await saying(start(200), END)(scope, receive, send)

    async def main() -> None:
        await probe(app, "/", root_path="", state=None)
        assert tasks[0] is not asyncio.current_task()

    asyncio.run(main())


def test_the_request_has_an_empty_body_and_the_client_leaves_after_the_answer() -> None:
    heard: list[AsgiMessage] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        heard.append(await receive())
        await saying(start(200), END)(scope, receive, send)
        heard.append(await receive())

    ask(app)
    assert heard == [{"type": "http.request", "body": b"", "more_body": False}, {"type": "http.disconnect"}]


def test_a_cancelled_probe_cancels_the_application() -> None:
    ended: list[str] = []

    async def app(_scope: Scope, _receive: Receive, _send: Send) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.append("cancelled")

    async def main(ask: Callable[[], Awaitable[None]]) -> None:
        task = asyncio.ensure_future(ask())
        await asyncio.wait({task}, timeout=0.01)
        task.cancel()
        await asyncio.wait({task})

    asyncio.run(main(lambda: probe(app, "/", root_path="", state=None)))
    assert ended == ["cancelled"]
