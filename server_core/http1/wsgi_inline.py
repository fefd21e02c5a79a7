"""An exchange in the loop's own thread. While the application runs, or waits for its client, nothing else does.

Where it must wait (for more of a body than was there, or because the client takes a response more slowly than it is
made) it waits for its own socket alone, no longer than the deadlines allow that the server's sweep holds elsewhere.
"""

from __future__ import annotations

import select
import time
from asyncio import _get_running_loop, _set_running_loop
from typing import TYPE_CHECKING, Any, Final

from server_core.asgi.errors import is_disconnect
from server_core.asgi.response_states import COMPLETE, STREAMING
from server_core.http.message import RequestRejected
from server_core.http1.error_response import has_begun, refuse
from server_core.http1.wsgi_exchange import WsgiExchange, gone
from server_core.transport.closing import OPEN

if TYPE_CHECKING:
    from server_core.wsgi.response import ResponseHead

_poll: Final = select.poll
"""As it is before the application is imported: gevent replaces it by one that would run other requests meanwhile."""


class InlineExchange(WsgiExchange):
    """One request, run where it was read."""

    __slots__ = ("_waited_s",)

    def launch(self) -> None:
        """Run the application now.

        Meanwhile this thread has no running loop, as under other servers of WSGI: what runs coroutines to their end
        (asyncio.run(), asgiref's async_to_sync() under `async def` views of Flask and Django) refuses to begin in one.
        What an exchange needs of the server's loop it has of the server, and does not ask for the running one.
        """
        loop = _get_running_loop()
        _set_running_loop(None)
        self.is_running, self._waited_s = True, 0.0
        try:
            error = self.served.new_context().run(self.respond)
        finally:
            _set_running_loop(loop)
        self.is_running = False
        if error is not None and is_disconnect(error) and self.connection.transport.is_closing():
            self.leave()  # the loop, which would say so, had no turn since the client went: that is no failure
        self.end(error)

    @property
    def is_waiting(self) -> bool:
        return not self.is_launched

    def put_hint(self, out: bytes) -> None:
        self.stream.write(out)

    def emit(self, head: ResponseHead | None, data: bytes, more: bool) -> None:
        connection, stream = self.connection, self.stream
        if self.gone or connection.mode != OPEN or connection.transport.is_closing():
            raise gone()
        self.sent_bytes += len(data)
        if head is None and more:
            out = stream.writer.body(data, True)
            connection.transport.write(out)
        else:
            if head is not None:
                stream.start(head.text, head.fields)
                self.status = head.status
            stream.respond(self, data, more)
            if not more:
                self.phase = COMPLETE
                return
            self.phase = STREAMING
            stream.flush()  # PEP 3333: no block may wait for the next one, and the loop has no turn before it
        if connection.full:
            self._wait_for_room()

    def _wait_for_room(self) -> None:
        connection = self.connection
        timeout_s = connection.server.settings.write_timeout
        while connection.full:
            if not self._pump(select.POLLOUT, timeout_s):
                connection.abort()
                raise gone()

    def take(self, limit: int) -> bytes:
        connection = self.connection
        while True:
            part = self._pop(limit)
            if part:
                self.stream.body_consumed()
                return part
            if self.received:
                return b""
            if self.gone or connection.mode != OPEN:
                raise gone()
            self.stream.body_requested(self)
            self._wait_for_body()

    def _wait_for_body(self) -> None:
        connection = self.connection
        settings = connection.server.settings
        began_at = time.monotonic()
        has_come = self._pump(select.POLLIN, settings.body_timeout)
        self._waited_s += time.monotonic() - began_at
        rate = 0 if has_begun(self.stream, self) else settings.body_min_rate
        if not has_come:
            refuse(self.stream, RequestRejected(408, "request body timed out"))
        elif rate and self._waited_s > settings.body_timeout + connection.reader.body_taken / rate:
            refuse(self.stream, RequestRejected(408, "request body too slow"))

    def _pump(self, events: int, timeout_s: float) -> bool:
        """Wait for the socket and let the transport do what it can; False if the time is over."""
        transport: Any = self.connection.transport
        if transport.is_closing():
            raise gone()
        poll = _poll()
        poll.register(transport.fileno(), events)
        found = poll.poll(timeout_s * 1000)
        if not found:
            return False
        transport.ready(found[0][1])
        if transport.is_closing() and events == select.POLLIN and not self._size:
            raise gone()
        return True
