"""What frameworks keep in context variables is one request's, where requests wait for each other on one connection."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from contextvars import ContextVar
from typing import Any

import pytest

from server_core.asgi.adapters import adapt
from server_core.asgi.http_exchange import Application
from tests.helpers.contexts import NOBODY, request
from tests.helpers.http import PARSERS, run, serving, until

LOOPS = ("asyncio", "uvloop")
USER: ContextVar[str] = ContextVar("USER", default=NOBODY)
REQUESTS = 40


def starlette() -> Application:
    """A BaseHTTPMiddleware: its last message comes behind a whole Content-Length."""
    applications = pytest.importorskip("starlette.applications")
    middleware, base = (pytest.importorskip(f"starlette.middleware{name}") for name in ("", ".base"))
    responses, routing = (pytest.importorskip(f"starlette.{name}") for name in ("responses", "routing"))

    class Named(base.BaseHTTPMiddleware):  # type: ignore[misc, name-defined]  # imported where it is installed
        async def dispatch(self, request: Any, call_next: Any) -> Any:
            if name := request.headers.get("x-user"):
                USER.set(name)
            return await call_next(request)

    async def who(_request: object) -> object:
        return responses.PlainTextResponse(USER.get())

    made: Application = applications.Starlette(
        routes=[routing.Route("/", who)], middleware=[middleware.Middleware(Named)]
    )
    return made


def fastapi() -> Application:
    """Its decorator for middleware, and an endpoint that runs in a thread."""
    module, responses = pytest.importorskip("fastapi"), pytest.importorskip("fastapi.responses")
    app = module.FastAPI()

    async def name(request: Any, call_next: Callable[[Any], Awaitable[Any]]) -> Any:
        if name := request.headers.get("x-user"):
            USER.set(name)
        return await call_next(request)

    def who() -> object:
        return responses.PlainTextResponse(USER.get())

    app.middleware("http")(name)
    app.get("/")(who)
    made: Application = app
    return made


def wsgi(environ: dict[str, Any], start_response: Callable[[str, list[tuple[str, str]]], object]) -> Iterable[bytes]:
    before = USER.get()
    if name := environ.get("HTTP_X_USER"):
        USER.set(name)
    body = (before if before != NOBODY else USER.get()).encode()
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))])
    return [body]


def asgiref() -> Application:
    """Its adapter breaks where a context of another request comes along: 500."""
    made: Application = pytest.importorskip("asgiref.wsgi").WsgiToAsgi(wsgi)
    return made


def native() -> Application:
    return adapt(wsgi, "wsgi", "wsgi")


@pytest.mark.parametrize("parser", PARSERS)
@pytest.mark.parametrize("loop", LOOPS)
@pytest.mark.parametrize("make", [starlette, fastapi, asgiref, native], ids=lambda make: make.__name__)
def test_an_anonymous_request_behind_a_users_is_nobodys(
    make: Callable[[], Application], loop: str, parser: str
) -> None:
    app = make()
    asked = [request("/", *(() if number % 2 else (b"x-user: user %d" % number,))) for number in range(REQUESTS)]
    expected = [(200, NOBODY.encode() if number % 2 else b"user %d" % number) for number in range(REQUESTS)]

    async def scenario() -> None:
        async with serving(app, http=parser) as served:
            pipelining, keeping = await served.connect(), await served.connect()
            for at in range(0, REQUESTS, 10):
                pipelining.send(b"".join(asked[at : at + 10]))
            answers = [await pipelining.response() for _ in asked]
            assert [(answer.status, answer.body) for answer in answers] == expected
            answers = [await keeping.get(one) for one in asked]
            assert [(answer.status, answer.body) for answer in answers] == expected
            # The client has all of an answer before a thread has told the loop that it has returned.
            server = served.server
            await until(lambda: not server.background and not any(known.is_busy for known in server.connections))

    run(scenario(), loop=loop)


@pytest.mark.parametrize("loop", LOOPS)
def test_anonymous_requests_that_waited_for_a_users_connection_are_nobodys(loop: str) -> None:
    app = fastapi()

    async def scenario() -> None:
        async with serving(app, limit_connections=2) as served:
            clients = [await served.connect() for _ in range(20)]
            for number, client in enumerate(clients):
                user = (b"x-user: user %d" % number,) if number < 4 else ()
                client.send(request("/", b"connection: close", *user))
            answers = [await client.response() for client in clients]
            assert [answer.body for answer in answers[4:]] == [NOBODY.encode()] * 16

    run(scenario(), loop=loop)
