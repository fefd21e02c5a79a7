"""One request to a WSGI application and its response, whichever thread runs it.

What it is to its connection is what an ASGI exchange is, so that deadlines, drains, the access log and the list of what
is in flight know no difference. A request waits outside of the application until its body is there, or as much as the
server holds of one: a client that sends slowly holds a connection, not a thread. Where the client waits for 100
Continue, or the body's length is not known, there is nothing to wait for, and the application reads as it comes.
"""

from __future__ import annotations

from collections import deque
from functools import partial
from typing import TYPE_CHECKING, Protocol

from server_core.asgi.errors import ClientDisconnected
from server_core.asgi.http_exchange import Exchange
from server_core.asgi.response_states import AWAITING_START, COMPLETE, POURING, ResponseError
from server_core.http.message import CHUNKED
from server_core.http1.pipelining import HIGH_WATER
from server_core.http1.response_fields import learn_line
from server_core.http1.wsgi_file import FileResponse
from server_core.wsgi.errors import Errors
from server_core.wsgi.input import Input
from server_core.wsgi.response import Response, ResponseHead, encoded

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextvars import Context

    from server_core.asgi.call import Call
    from server_core.asgi.file_range import FilePart
    from server_core.http.message import Head
    from server_core.http1.connection import Http1Connection
    from server_core.log import Log
    from server_core.wsgi.types import Environ, Fields, WsgiApplication


class Served(Protocol):
    """What an exchange knows of the application, and of the server that serves it."""

    app: WsgiApplication
    log: Log
    facts: Callable[[Call], dict[str, object]]
    """What the log says of a request."""
    new_context: Callable[[], Context]


class WsgiExchange(Exchange):
    """From a request's head to the return of the application."""

    __slots__ = (
        "_body",
        "_environ",
        "_errors",
        "_file",
        "_size",
        "connection",
        "is_launched",
        "is_running",
        "served",
        "stream",
    )

    def __init__(
        self, connection: Http1Connection, served: Served, asgi: Exchange, head: Head, environ: Environ
    ) -> None:
        """`asgi` is the exchange that the request would have otherwise, `environ` all but the streams."""
        super().__init__(connection.stream, asgi.scope, head, asgi.started_at)
        self.connection, self.stream = connection, connection.stream
        self.served = served
        self._body: deque[bytes] | None = None
        """What has come of the body, and was not read yet."""
        self._size = 0
        self.is_launched = head.rules.length == 0
        """Whether it waits for nothing more of the body before it runs."""
        self.is_running = False
        """Whether the application is called, or will be, and has not returned."""
        self._file: FileResponse | None = None
        """The response, where the loop is to send a file."""
        self._errors = Errors(served.log, self, served.facts)
        self._environ = environ
        environ["wsgi.input"] = Input(self)
        environ["wsgi.errors"] = self._errors
        environ["wsgi.early_hints"] = self.send_early_hints

    # The request's body, told by the connection

    def feed(self, data: bytes) -> None:
        """Some bytes of the body."""
        if self._body is None:
            self._body = deque()
        self._body.append(data)
        self._size += len(data)

    @property
    def is_full(self) -> bool:
        """Whether no more of the body should be read now."""
        return self._size > HIGH_WATER

    def is_due(self, head: Head) -> bool:
        """Whether it may run, for all that has come of its body."""
        rules = head.rules
        return self.received or rules.expects or rules.length == CHUNKED or self._size >= HIGH_WATER

    def _pop(self, limit: int) -> bytes:
        """At most so many bytes of what has come, nothing if there is nothing."""
        body = self._body
        if not body:
            return b""
        part = body.popleft()
        if len(part) > limit:
            body.appendleft(part[limit:])
            part = part[:limit]
        self._size -= len(part)
        return part

    # The application

    def respond(self) -> BaseException | None:
        """Run the application to its end; what it raised, or did wrong."""
        environ, self._environ = self._environ, {}  # which knows this
        try:
            Response(self).run(self.served.app, environ)
            if self.phase is not COMPLETE and not self.gone and self._file is None:
                raise ResponseError("the application returned before its response was complete")
        except BaseException as error:  # noqa: BLE001 - SystemExit in one request must not end the others'
            return error
        finally:
            self._errors.flush()
        return None

    def end(self, error: BaseException | None) -> None:
        """What comes behind the application's return, in the loop's thread."""
        file = self._file
        if error is None and file is not None:
            file.begin()
            return
        if file is not None:
            file.give_up()
        if error is not None:
            self.stream.failed(self, error)
        self.stream.finished(self)

    def answer(self, status: int, fields: list[tuple[bytes, bytes]], body: bytes) -> None:
        """Answer without the application, in the loop's thread."""
        stream = self.stream
        stream.start(status, fields)
        self.status = status
        self.sent_bytes = len(body)
        stream.respond(self, body, False)
        self.phase = COMPLETE
        stream.finished(self)

    def _begin_file(self, head: ResponseHead) -> None:
        """The head of a file's response goes out."""
        self.stream.start(head.text, head.fields)
        self.status = head.status
        self.phase = POURING

    def _end_file(self, sent_bytes: int, is_whole: bool) -> None:
        """So much of the file was sent."""
        self.sent_bytes += sent_bytes
        if is_whole:
            self.phase = COMPLETE

    def wake(self) -> None:
        Exchange.wake(self)  # and no super(), which compiled code would look up
        if self._file is not None and self.phase is POURING:
            self._file.go_on()

    def leave(self) -> None:
        super().leave()
        self.wake()

    def send_early_hints(self, fields: Fields, /) -> None:
        """wsgi.early_hints: send these fields ahead of the response, to a client that would understand (RFC 8297)."""
        lines = b"".join(learn_line(encoded(pair))[1] for pair in fields)
        if lines and self.line.version == "1.1" and self.phase is AWAITING_START:
            self.put_hint(b"HTTP/1.1 103 Early Hints\r\n%b\r\n" % lines)

    def emit_file(self, head: ResponseHead, part: FilePart) -> None:
        """Outlet."""
        self._file = FileResponse(self.stream, self, part, partial(self._begin_file, head), self._end_file)

    def put_hint(self, out: bytes) -> None:
        """Write an interim response."""
        raise NotImplementedError

    def launch(self) -> None:
        """Have it run."""
        raise NotImplementedError

    def emit(self, head: ResponseHead | None, data: bytes, more: bool) -> None:
        """Outlet."""
        raise NotImplementedError

    def take(self, limit: int) -> bytes:
        """Source."""
        raise NotImplementedError


def gone() -> ClientDisconnected:
    """What to raise for a client that has gone: an OSError, as of a read or a write that failed."""
    return ClientDisconnected("the client has closed the connection")
