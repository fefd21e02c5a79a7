"""What the server's sweep and its connection limit do with an HTTP/1.1 connection: values out of it, and what is due.

The judgement is in timeouts.py and eviction_rank.py, which know values alone.
"""

from __future__ import annotations

from time import monotonic
from typing import TYPE_CHECKING

from server_core.http.message import RequestRejected
from server_core.http1.error_response import expire, has_begun, refuse
from server_core.http1.eviction_rank import Transferred, eviction_rank
from server_core.http1.stages import Stage, stage
from server_core.http1.timeouts import BodyWait, Due, due

if TYPE_CHECKING:
    from server_core.http1.interface import HttpConnection


def stage_of(connection: HttpConnection) -> Stage:
    reader, stream = connection.reader, connection.stream
    return stage(
        is_open=connection.is_open,
        is_busy=stream.is_busy,
        is_in_body=reader.is_in_body,
        is_between_requests=reader.is_between_requests,
        has_served=stream.head is not None,
    )


def check(connection: HttpConnection, now: float) -> None:
    """End what has waited too long."""
    settings, exchange = connection.server.settings, connection.stream.exchange
    if connection.progress.is_stalled(now, connection.transport.get_write_progress(), settings.write_timeout):
        connection.abort()
        return
    found, since_s, request_s, body = stage_of(connection), now - connection.since, 0.0, None
    if found is Stage.REQUEST and exchange is not None:
        request_s = monotonic() - exchange.started_at
        body = _requested_body(connection, now)
    elif found is Stage.DISCARDING:
        body = BodyWait(now - connection.stream.body_wanted_at, since_s, connection.discarded)
    _do(due(found, since_s, settings, request_s=request_s, body=body), connection)


def _requested_body(connection: HttpConnection, now: float) -> BodyWait | None:
    """The body that the application waits for; None if it waits for none."""
    stream = connection.stream
    exchange = stream.exchange
    if exchange is None or exchange.received or not (stream.body_wanted_at and exchange.is_waiting):
        return None
    waited_s = connection.progress.waited_s(exchange.started_at, connection.server.swept_after_s)
    has_rate = not has_begun(stream, exchange)
    return BodyWait(now - stream.body_wanted_at, waited_s, connection.reader.body_taken, has_rate)


def _do(what: Due, connection: HttpConnection) -> None:
    stream, reader = connection.stream, connection.reader
    match what:
        case Due.NOTHING:
            pass
        case Due.CLOSE:
            connection.close()
        case Due.CLOSE_IF_IDLE:
            connection.close_if_idle()
        case Due.HALF_CLOSE:
            connection.shut()
        case Due.REFUSE_HEAD:
            refuse(stream, reader.told(RequestRejected(408, "request head timed out"), reader.held))
        case Due.REFUSE_SILENT_BODY:
            refuse(stream, RequestRejected(408, "request body timed out"))
        case Due.REFUSE_SLOW_BODY:
            refuse(stream, RequestRejected(408, "request body too slow"))
        case Due.EXPIRE:
            expire(stream, stream.exchange)  # type: ignore[arg-type]  # only a request expires


def rank(connection: HttpConnection, now: float) -> tuple[int, float]:
    """Where it stands among those that are evicted."""
    found, untaken = stage_of(connection), connection.transport.get_write_buffer_size()
    transferred = _transferred(connection, untaken) if found is Stage.REQUEST else None
    return eviction_rank(found, connection.since, now, is_untaken=untaken > 0, transferred=transferred)


def _transferred(connection: HttpConnection, untaken: int) -> Transferred | None:
    stream = connection.stream
    exchange = stream.exchange
    if exchange is None or not exchange.is_waiting:
        return None
    in_s = monotonic() - exchange.started_at
    if connection.full:
        return Transferred(exchange.sent_bytes - untaken, in_s)
    if stream.body_wanted_at and not exchange.received:
        return Transferred(connection.reader.body_taken, in_s)
    return None
