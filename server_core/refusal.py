"""What a client is told when its request cannot be served, or its response not be completed.

Rare paths, all of them: a connection calls them, and no request that goes well comes by.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from time import monotonic
from typing import TYPE_CHECKING, cast

from server_core.ending import SHUT
from server_core.http.exchange import is_disconnect
from server_core.http.h1_writer import FAILURE, NO_LINE, PLAIN_TEXT
from server_core.http.phases import COMPLETE
from server_core.http.wire import Refused

if TYPE_CHECKING:
    from server_core.connection import Connection
    from server_core.http.call import Call


def refuse(connection: Connection, refused: Refused) -> None:
    """Answer a request that may not be served with one plain line, and end."""
    server, writer, exchange = connection.server, connection.writer, connection.exchange
    server.log("request.refused", status=refused.status, reason=refused.reason, client=str(connection.peer))
    connection.fresh = False
    start: Callable[[object, Iterable[object]], None] = writer.start
    text = refused.reason.encode("ascii") + b"\n"
    if exchange is not None and exchange.phase is not COMPLETE:
        if has_begun(connection, exchange):
            cut(connection)
            return
        connection.exchange = None
        if exchange.task is not None:  # else refused in the same segment as its head: it never began
            server.background.add(exchange)
        exchange.leave()
        start = connection.start  # the head that has been read is this request's
        server.count_duration(monotonic() - exchange.started_at)
    elif connection.reader.is_in_body:
        connection.shut()  # the request that this body belongs to has its answer
        return
    else:
        exchange = None
    server.responses[refused.status // 100] += 1
    if server.access_log is not None:
        server.access_log.record_refusal(refused.status, connection.peer, len(text), exchange)
    start(refused.status, [PLAIN_TEXT, *refused.fields])
    connection.write(cast(bytes, writer.first(text, False, NO_LINE, False, server.defaults)))
    connection.shut()


def expire(connection: Connection, exchange: Call) -> None:
    """End a request that has taken longer than it may: 504 if nothing has gone out; cancel its application."""
    duration = round(monotonic() - exchange.started_at, 3)
    line = exchange.line
    connection.server.log("request.expired", method=line.method, path=exchange.scope["path"], duration_s=duration)
    task = exchange.task
    refuse(connection, Refused(504, "request timed out"))
    if task is not None:
        task.cancel()


def has_begun(connection: Connection, exchange: Call) -> bool:
    """Whether a part of its response has gone out, so that no other can be sent in its place."""
    return exchange.status != 0 and not connection.writer.is_held


def record_cut(connection: Connection, exchange: Call) -> None:
    """Tell the access log of an exchange that is over, if it has no complete response."""
    log = connection.server.access_log
    if log is not None and exchange.phase is not COMPLETE:
        log.record_cut(exchange, connection.writer)


def fail(connection: Connection, exchange: Call, error: BaseException) -> None:
    """Say 500 for an application that raised, or end its response visibly incomplete."""
    if not exchange.gone or not is_disconnect(error):
        connection.server.blame(exchange, error)
    if exchange.gone or exchange.phase is COMPLETE:
        return
    if not has_begun(connection, exchange):
        exchange.status = 500
        exchange.sent_bytes = len(FAILURE)
        connection.start(500, [PLAIN_TEXT])
        connection.respond(exchange, FAILURE, False)
        exchange.phase = COMPLETE
    else:
        cut(connection)


def cut(connection: Connection) -> None:
    """End an incomplete response so that it cannot pass for a whole one."""
    connection.flush()
    connection.mode = SHUT
    if connection.exchange is not None:
        connection.exchange.leave()
    connection.ending.cut(connection.writer.ends_by_close)
