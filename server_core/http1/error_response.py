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
from server_core.transport.socket_info import address

if TYPE_CHECKING:
    from server_core.asgi.call import Call
    from server_core.http1.interface import ResponseStream


def refuse(stream: ResponseStream, refused: RequestRejected) -> None:
    """Answer a request that may not be served with one plain line, and end."""
    server, writer, exchange, connection = stream.server, stream.writer, stream.exchange, stream.connection
    facts = _name(stream, refused)
    server.log("request.refused", status=refused.status, reason=refused.reason, client=str(connection.peer), **facts)
    text = refused.reason.encode("ascii") + b"\n"
    if exchange is not None and exchange.phase is not COMPLETE:
        if has_begun(stream, exchange):
            cut(stream)
            return
        stream.exchange = None
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
        server.access_log.record_refusal(refused, len(text), exchange, _scope(stream, refused.head, facts))
    writer.start(refused.status, [PLAIN_TEXT, *refused.fields])
    if "request_id" in facts:
        request_ids = server.origin.request_ids
        writer.add(request_ids.name, request_ids.line(facts["request_id"]))  # type: ignore[union-attr]  # which gave it
    stream.write(cast(bytes, writer.first(text, False, NO_LINE, False, stream.shared.defaults)))
    connection.shut()


def _name(stream: ResponseStream, refused: RequestRejected) -> dict[str, str]:
    """The id of the request that is refused, as a fact; none where requests have none."""
    origin, head, connection = stream.server.origin, refused.head, stream.connection
    if origin.request_ids is None:
        return {}
    if stream.is_busy or (connection.reader.is_in_body and head is None):
        head = stream.head  # the head that has been read is this request's
    return {"request_id": origin.request_ids.of(head, origin.trusted.trusts(connection.peer))}


def _scope(stream: ResponseStream, head: Head | None, state: dict[str, str]) -> dict[str, object]:
    """What an access log may ask about a request that was never begun; its client is whom a trusted proxy tells."""
    origin, peer = stream.server.origin, stream.connection.peer
    told = origin.client(head) if head is not None and origin.trusted.trusts(peer) else None
    fields = [] if head is None else head.fields
    return {"type": "http", "client": told or address(peer), "server": None, "headers": fields, "state": state}


def expire(stream: ResponseStream, exchange: Call) -> None:
    """End a request that has taken longer than it may, and cancel its application: 504 if nothing has gone out.

    Else a reset, because one who does not read could not be told otherwise, and would be waited for once more.
    """
    server, duration_s = stream.server, round(monotonic() - exchange.started_at, 3)
    goes_on = {"thread_goes_on": True} if getattr(exchange, "is_running", False) else {}  # WSGI's exchange has it
    server.log("request.expired", **server.failures.facts(exchange), duration_s=duration_s, **goes_on)
    task = exchange.task
    if has_begun(stream, exchange):
        cut(stream, by_reset=True)
    else:
        refuse(stream, RequestRejected(504, "request timed out"))
    if task is not None:
        task.cancel()


def has_begun(stream: ResponseStream, exchange: Call) -> bool:
    """Whether a part of its response has gone out, so that no other can be sent in its place."""
    return exchange.status != 0 and not stream.writer.is_held


def record_cut(stream: ResponseStream, exchange: Call) -> None:
    """Tell the access log of an exchange that is over, if it has no complete response."""
    log = stream.server.access_log
    if log is not None and exchange.phase is not COMPLETE:
        log.record_cut(exchange, stream.writer, stream.head)


def fail(stream: ResponseStream, exchange: Call, error: BaseException) -> None:
    """Say 500 for an application that raised, or end its response visibly incomplete."""
    if not exchange.gone or not is_disconnect(error):
        stream.server.failures.log_failure(exchange, error)
    if exchange.gone or exchange.phase is COMPLETE:
        return
    if not has_begun(stream, exchange):
        exchange.status = 500
        exchange.sent_bytes = len(FAILURE)
        stream.start(500, [PLAIN_TEXT])
        stream.respond(exchange, FAILURE, False)
        exchange.phase = COMPLETE
    else:
        cut(stream)


def cut(stream: ResponseStream, *, by_reset: bool = False) -> None:
    """End an incomplete response so that it cannot pass for a whole one; by a reset where nothing else would do."""
    stream.flush()
    exchange = stream.exchange
    stream.connection.cut(by_reset or stream.writer.ends_by_close)
    if exchange is not None:
        exchange.leave()
