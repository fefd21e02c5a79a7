"""One request to a WSGI application that is mounted in an ASGI one: a thread that asks, and a task that answers.

Loaded with the first application that is mounted: a worker of an ASGI application alone has no use for it.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable, MutableMapping
from contextvars import Context
from typing import TYPE_CHECKING, cast

from server_core.asgi.errors import ClientDisconnected, is_disconnect
from server_core.asgi.response_states import ResponseError
from server_core.proxy.request_id import request_id_of
from server_core.wsgi.environ import of_scope
from server_core.wsgi.errors import LOG, Errors
from server_core.wsgi.input import Input
from server_core.wsgi.response import Response, ResponseHead
from server_core.wsgi.threads import new_lock

if TYPE_CHECKING:
    import _thread

    from server_core.asgi.file_range import FilePart
    from server_core.wsgi.threads import Pool
    from server_core.wsgi.types import WsgiApplication

Message = MutableMapping[str, object]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]


class Mounted:
    """One request to a mounted application: a thread that asks, and a task that answers."""

    def __init__(self, app: WsgiApplication, scope: Message, loop: asyncio.AbstractEventLoop, context: Context) -> None:
        self._app = app
        self._scope = scope
        self._loop = loop
        self._context = context
        self._asked: asyncio.Future[None] = loop.create_future()
        self._step: tuple[str, Message] | None = None
        self._answered: _thread.LockType = new_lock()
        self._answered.acquire()
        self._answer: Message | BaseException | None = None
        self._is_over = self._has_returned = False
        self._held = b""
        self._is_read = False
        self.error: BaseException | None = None

    # The task

    async def respond(self, pool: Pool, receive: Receive, send: Send) -> None:
        """Let a thread run the application, and do what it asks for until it returns."""
        pool.submit(self)
        try:
            while True:
                await self._asked
                if self._has_returned:
                    break
                self._asked = self._loop.create_future()
                await self._do(receive, send)
        finally:
            self._is_over = True
            if not self._has_returned:
                self._reply(_gone())
        if self.error is not None and not is_disconnect(self.error):
            raise self.error

    async def _do(self, receive: Receive, send: Send) -> None:
        assert self._step is not None
        verb, message = self._step
        try:
            if verb == "receive":
                answer = await receive()
                self._reply(_gone() if answer["type"] == "http.disconnect" else answer)
            else:
                await send(message)
                self._reply({})
        except Exception as error:  # noqa: BLE001 - it is the thread's to raise
            self._reply(error)

    def _reply(self, answer: Message | BaseException) -> None:
        self._answer = answer
        if self._answered.locked():
            self._answered.release()

    # The thread

    def work(self) -> None:
        """Job."""
        self._context.run(self._call)
        self._has_returned = True
        self._tell()

    def _call(self) -> None:
        environ = of_scope(self._scope)
        environ["wsgi.input"] = Input(self)
        log = LOG.get()
        errors = Errors(log, self._scope, _facts) if log is not None else sys.stderr  # another server's application
        environ["wsgi.errors"] = errors
        try:
            Response(self).run(self._app, environ)
        except BaseException as error:  # noqa: BLE001 - raised again in the task
            self.error = error if isinstance(error, Exception) else ResponseError(f"the application raised {error!r}")
        finally:
            errors.flush()

    def take(self, limit: int) -> bytes:
        """Source."""
        while not self._held:
            if self._is_read:
                return b""
            message = self._ask("receive", {})
            self._held = cast(bytes, message.get("body", b""))
            self._is_read = not message.get("more_body", False)
        part, self._held = self._held[:limit], self._held[limit:]
        return part

    def emit_file(self, head: ResponseHead, part: FilePart) -> None:
        """Outlet. Not used: an application that is mounted is given no wsgi.file_wrapper."""
        raise NotImplementedError

    def emit(self, head: ResponseHead | None, data: bytes, more: bool) -> None:
        """Outlet."""
        if head is not None:
            fields = [(name.lower(), value) for name, value in head.fields]
            self._ask("send", {"type": "http.response.start", "status": head.status, "headers": fields})
        self._ask("send", {"type": "http.response.body", "body": data, "more_body": more})

    def _ask(self, verb: str, message: Message) -> Message:
        """Have the task do it; what it raised there is raised here."""
        if self._is_over:
            raise _gone()
        self._step = verb, message
        self._tell()
        self._answered.acquire()
        answer, self._answer = self._answer, None
        if isinstance(answer, BaseException):
            raise answer
        return answer or {}

    def _tell(self) -> None:
        try:
            self._loop.call_soon_threadsafe(self._look, context=Context())
        except RuntimeError:  # the loop is closed, and this request with it
            self._reply(_gone())

    def _look(self) -> None:
        if not self._asked.done():
            self._asked.set_result(None)


def _facts(scope: Message) -> dict[str, object]:
    """What the log says of a request."""
    request_id = request_id_of(scope) if "state" in scope else None
    return {
        "method": scope["method"],
        "path": scope["path"],
        **({"request_id": request_id} if request_id is not None else {}),
    }


def _gone() -> ClientDisconnected:
    return ClientDisconnected("the client has closed the connection")
