"""What becomes of a response under way whose client has gone: a grace, and then an end.

1. Frameworks listen for the disconnect themselves and clean up as they know best; the announced version of ASGI asks
   them to (asgi/scope.py). Whatever they send meanwhile is dropped, as on the other servers.
2. An application that has not answered yet is never ended: it may be in the middle of saving what the client sent, and
   people rely on that. Nor is one whose response is complete, or that has been told: what it does then is work of its
   own, such as background tasks.
3. What is left is a response under way of an application that does not listen. It would go on for ever, and keep what
   it holds until the worker ends. After `disconnect-grace` it is cancelled, and send() refuses further parts of a body.

The grace begins when the client has gone, or with the response's head if that is later. A client that has only closed
its half may still read: there the grace begins anew with each part of the body, and while parts wait to be taken.

Rejected: an OSError out of send() from the first moment (ASGI 2.4), which leaves alone what waits and sends nothing,
and ends a2wsgi's sender while its thread goes on; and to cancel at once, which comes before the frameworks' own way.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Final

from server_core.http1.error_response import cut

if TYPE_CHECKING:
    from server_core.asgi.http_exchange import Exchange
    from server_core.http1.interface import ResponseStream

STRANDED_BY_A_CANCEL: Final = "a2wsgi"
"""Its threads wait for ever for a task that a cancellation ends (a2wsgi 1.10, WSGIResponder.sender), and ten of them
are all it has. Whether one serves a request cannot be seen from outside: where the library is loaded nothing is
cancelled, and an application that never ends is kept, as on the other servers."""


def watch(stream: ResponseStream, exchange: Exchange) -> None:
    """The client has gone, or has closed its half, and the response is under way."""
    grace_s = stream.server.settings.disconnect_grace
    if grace_s and exchange.task is not None:
        stream.server.loop.call_later(grace_s, end, stream, exchange, exchange.sent_bytes)


def end(stream: ResponseStream, exchange: Exchange, sent_bytes: int) -> None:
    """The grace is over; `sent_bytes` is how much the application had sent at its beginning."""
    task = exchange.task
    if task is None or exchange.over or not exchange.is_under_way or STRANDED_BY_A_CANCEL in sys.modules:
        return
    if not exchange.gone:
        if exchange.told:
            return
        is_taking = exchange.is_waiting or stream.transport.get_write_buffer_size()
        if is_taking or exchange.sent_bytes != sent_bytes:
            watch(stream, exchange)
            return
    exchange.end_grace()
    if not exchange.gone:
        cut(stream)
    if not exchange.told:
        stream.server.log("request.abandoned", **stream.server.failures.facts(exchange))
        task.cancel()
