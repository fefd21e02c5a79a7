"""What a client is told when its request cannot be served, or its response not be completed.

Rare paths, all of them: a connection calls them, and no request that goes well comes by.
"""

from __future__ import annotations

from time import monotonic
from typing import TYPE_CHECKING, cast

from server_core.asgi.errors import is_disconnect
from server_core.asgi.response_states import COMPLETE
from server_core.http.message import Head, RequestRejected
from server_core.http1.writer import FAILURE, NO_LINE, PLAIN_TEXT
from server_core.transport.closing import SHUT
from server_core.transport.socket_info import address

if TYPE_CHECKING:
    from server_core.asgi.call import Call
    from server_core.http1.interface import HttpConnection


def refuse(connection: HttpConnection, refused: RequestRejected) -> None:
    """Answer a request that may not be served with one plain line, and end."""
    server, writer, exchange = connection.server, connection.writer, connection.exchange
    facts = _name(connection, refused)
    server.log("request.refused", status=refused.status, reason=refused.reason, client=str(connection.peer), **facts)
    connection.fresh = False
    text = refused.reason.encode("ascii") + b"\n"
    if exchange is not None and exchange.phase is not COMPLETE:
        if has_begun(connection, exchange):
            cut(connection)
            return
        connection.exchange = None
        if exchange.task is not None:  # else refused in the same segment as its head: it never began
            server.registry.background.add(exchange)
        exchange.leave()
        server.count_duration(monotonic() - exchange.started_at)
    elif connection.reader.is_in_body and refused.head is None:
        connection.shut()  # the request that this body belongs to has its answer
        return
    else:
        exchange = None
    server.responses[refused.status] += 1
    if server.access_log is not None:
        server.access_log.record_refusal(refused, len(text), exchange, _scope(connection, refused.head, facts))
    writer.start(refused.status, [PLAIN_TEXT, *refused.fields])
    if "request_id" in facts:
        request_ids = server.origin.request_ids
        writer.add(request_ids.name, request_ids.line(facts["request_id"]))  # type: ignore[union-attr]  # which gave it
    connection.write(cast(bytes, writer.first(text, False, NO_LINE, False, connection.shared.defaults)))
    connection.shut()


def _name(connection: HttpConnection, refused: RequestRejected) -> dict[str, str]:
    """The id of the request that is refused, as a fact; none where requests have none."""
    origin, head = connection.server.origin, refused.head
    if origin.request_ids is None:
        return {}
    if connection.is_busy or (connection.reader.is_in_body and head is None):
        head = connection.head  # the head that has been read is this request's
    return {"request_id": origin.request_ids.of(head, origin.trusted.trusts(connection.peer))}


def _scope(connection: HttpConnection, head: Head | None, state: dict[str, str]) -> dict[str, object]:
    """What an access log may ask about a request that was never begun; its client is whom a trusted proxy tells."""
    origin, peer = connection.server.origin, connection.peer
    told = origin.client(head) if head is not None and origin.trusted.trusts(peer) else None
    fields = [] if head is None else head.fields
    return {"type": "http", "client": told or address(peer), "server": None, "headers": fields, "state": state}


def expire(connection: HttpConnection, exchange: Call) -> None:
    """End a request that has taken longer than it may, and cancel its application: 504 if nothing has gone out.

    Else a reset, because one who does not read could not be told otherwise, and would be waited for once more.
    """
    server, duration_s = connection.server, round(monotonic() - exchange.started_at, 3)
    goes_on = {"thread_goes_on": True} if getattr(exchange, "is_running", False) else {}  # WSGI's exchange has it
    server.log("request.expired", **server.failures.facts(exchange), duration_s=duration_s, **goes_on)
    task = exchange.task
    if has_begun(connection, exchange):
        cut(connection, by_reset=True)
    else:
        refuse(connection, RequestRejected(504, "request timed out"))
    if task is not None:
        task.cancel()


def has_begun(connection: HttpConnection, exchange: Call) -> bool:
    """Whether a part of its response has gone out, so that no other can be sent in its place."""
    return exchange.status != 0 and not connection.writer.is_held


def record_cut(connection: HttpConnection, exchange: Call) -> None:
    """Tell the access log of an exchange that is over, if it has no complete response."""
    log = connection.server.access_log
    if log is not None and exchange.phase is not COMPLETE:
        log.record_cut(exchange, connection.writer, connection.head)


def fail(connection: HttpConnection, exchange: Call, error: BaseException) -> None:
    """Say 500 for an application that raised, or end its response visibly incomplete."""
    if not exchange.gone or not is_disconnect(error):
        connection.server.failures.log_failure(exchange, error)
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


def cut(connection: HttpConnection, *, by_reset: bool = False) -> None:
    """End an incomplete response so that it cannot pass for a whole one; by a reset where nothing else would do."""
    connection.flush()
    connection.mode = SHUT
    if connection.exchange is not None:
        connection.exchange.leave()
    connection.ending.cut(by_reset or connection.writer.ends_by_close)
