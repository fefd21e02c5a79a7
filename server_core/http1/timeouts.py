"""The deadlines of one connection, compared by the server's sweep with the coarse instants that it stores.

Every state of a connection has one: a connection that nobody waits for is closed, one that somebody waits for is told.

A trickle makes progress for ever, so that a body has a rate to keep, too (body-min-rate). Only the time in which the
application waited for the client counts: a slow application is not the client's fault. Once a response has begun the
rate does not matter any more: then both may be streams that last, and silence alone is judged.
"""

from __future__ import annotations

from time import monotonic
from typing import TYPE_CHECKING

from server_core.http.message import RequestRejected
from server_core.http1.error_response import expire, has_begun, refuse
from server_core.settings.declaration import ServerSettings

if TYPE_CHECKING:
    from server_core.asgi.call import Call
    from server_core.http1.interface import HttpConnection


def check(connection: HttpConnection, now: float, settings: ServerSettings) -> None:
    """End what has waited too long."""
    waited = now - connection.since
    size = connection.transport.get_write_buffer_size()
    if connection.stream.progress.is_stalled(now, size, settings.write_timeout):
        connection.abort()
    elif not connection.is_open:
        return
    elif connection.is_busy:
        _check_request(connection, connection.stream.exchange, now, settings)  # type: ignore[arg-type]  # busy with one
    elif connection.reader.is_in_body:
        _check_discarding(connection, now, waited, settings)
    elif not connection.reader.is_between_requests:
        if waited > settings.header_timeout:
            reader = connection.reader
            refuse(connection.stream, reader.told(RequestRejected(408, "request head timed out"), reader.held))
    elif connection.stream.head is None:
        if waited > settings.header_timeout:
            connection.close()
    elif waited > settings.keep_alive:
        connection.close_if_idle()


def _check_discarding(connection: HttpConnection, now: float, waited: float, settings: ServerSettings) -> None:
    """The rest of a body whose request is answered: it was promised to be read, as long as it comes."""
    rate = settings.body_min_rate
    is_slow = rate and waited > settings.body_timeout + connection.discarded / rate
    if is_slow or now - connection.stream.body_wanted_at > settings.body_timeout:
        connection.shut()


def _check_request(connection: HttpConnection, exchange: Call, now: float, settings: ServerSettings) -> None:
    if settings.request_timeout and monotonic() - exchange.started_at > settings.request_timeout:
        expire(connection.stream, exchange)
    elif connection.stream.body_wanted_at and exchange.is_waiting and not exchange.received:
        waited_s = connection.stream.progress.waited_s(exchange.started_at, connection.server.swept_after_s)
        rate = 0 if has_begun(connection.stream, exchange) else settings.body_min_rate
        if now - connection.stream.body_wanted_at > settings.body_timeout:
            refuse(connection.stream, RequestRejected(408, "request body timed out"))
        elif rate and waited_s > settings.body_timeout + connection.reader.body_taken / rate:
            refuse(connection.stream, RequestRejected(408, "request body too slow"))
