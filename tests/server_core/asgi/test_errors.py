"""What counts as a client that has gone, and what is an application's own fault."""

# ruff: noqa: ARG001 - an ASGI application takes three arguments, whether it needs them or not

from __future__ import annotations

import asyncio

import pytest

from server_core.asgi.errors import ClientDisconnected, is_disconnect
from server_core.asgi.http_exchange import Message, Receive, Send
from tests.helpers.http import GET, run, serving, until
from tests.helpers.websocket import handshake, opened


def gone() -> BaseException:
    return ClientDisconnected("the client has closed the connection")


def made(error: BaseException, *, of: BaseException, explicit: bool = False) -> BaseException:
    """`error` as raised while `of` was handled."""
    try:
        try:
            raise of
        except BaseException as first:
            if explicit:
                raise error from first
            raise error  # noqa: B904 - this is what is made
    except BaseException as second:  # noqa: BLE001 - as above
        return second


def group(*errors: BaseException) -> BaseException:
    return BaseExceptionGroup("unhandled errors in a TaskGroup", errors)


EXCUSED = [
    gone(),
    asyncio.CancelledError(),
    made(RuntimeError("a framework's own"), of=gone()),
    made(RuntimeError("a framework's own"), of=gone(), explicit=True),
    group(gone()),
    group(gone(), gone()),
    group(asyncio.CancelledError(), gone()),
    group(group(group(gone()), asyncio.CancelledError()), gone()),
    group(made(RuntimeError("a framework's own"), of=gone())),
    made(RuntimeError("collapsed"), of=group(gone())),
    made(group(gone()), of=ValueError("handled before")),
]
BLAMED = [
    ValueError(),
    OSError("the database has gone"),
    ConnectionResetError("the database has gone"),
    group(ValueError()),
    group(gone(), ValueError()),
    group(asyncio.CancelledError(), KeyError()),
    group(group(gone(), group(gone(), ValueError())), gone()),
    made(RuntimeError("collapsed"), of=group(gone(), ValueError())),
    made(group(ValueError()), of=gone()),
]


@pytest.mark.parametrize("error", EXCUSED, ids=repr)
def test_a_client_that_has_gone_is_known_again(error: BaseException) -> None:
    assert is_disconnect(error)


@pytest.mark.parametrize("error", BLAMED, ids=repr)
def test_a_real_error_is_no_disconnect_whatever_stands_beside_it(error: BaseException) -> None:
    assert not is_disconnect(error)


def test_groups_in_groups_without_end_are_not_followed_for_ever() -> None:
    error = gone()
    for _ in range(100_000):
        error = group(error)
    assert not is_disconnect(error)


@pytest.mark.parametrize("kind", ["http", "websocket"])
@pytest.mark.parametrize("real", [False, True])
def test_a_task_group_whose_client_has_gone_is_blamed_for_its_own_errors_only(real: bool, kind: str) -> None:
    async def app(scope: Message, receive: Receive, send: Send) -> None:
        if kind == "websocket":
            await receive()
            await send({"type": "websocket.accept"})
        else:
            await send({"type": "http.response.start", "status": 200})
            await send({"type": "http.response.body", "body": b"a", "more_body": True})
        while (await receive())["type"] not in ("http.disconnect", "websocket.disconnect"):
            pass
        raise BaseExceptionGroup("of a task group", [gone(), *([ValueError("real")] if real else [])])

    async def scenario() -> None:
        async with serving(app, request_id="X-Request-ID") as served:
            if kind == "websocket":
                client = await opened(served)
            else:
                client = await served.connect()
                client.send(GET)
                await client.reader.readuntil(b"a")
            client.reset()
            await until(lambda: not served.server.connections and not served.server.background)
            assert len(served.heard.all("request.failed")) == real

    run(scenario())


def test_a_failing_websocket_is_logged_with_its_request_id_before_and_behind_the_acceptance() -> None:
    async def app(scope: Message, receive: Receive, send: Send) -> None:
        await receive()
        if scope["path"] == "/accepted":
            await send({"type": "websocket.accept"})
        raise ValueError

    async def scenario() -> None:
        async with serving(app, request_id="X-Request-ID") as served:
            for path in (b"/accepted", b"/not"):
                client = await served.connect()
                client.send(handshake(b"x-request-id: id-of-%b" % path[1:]).replace(b"/ws", path))
                await client.reader.readuntil(b"\r\n\r\n")
            await until(lambda: len(served.heard.all("request.failed")) == 2)
            failures = served.heard.all("request.failed")
            assert [(each["path"], each["request_id"]) for each in failures] == [
                ("/accepted", "id-of-accepted"),
                ("/not", "id-of-not"),
            ]

    run(scenario())
