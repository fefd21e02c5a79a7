"""From a request that offers an upgrade to a session, and from its acceptance to a channel."""

from __future__ import annotations

from collections.abc import Iterable
from time import monotonic
from typing import TYPE_CHECKING, Final, cast

from server_core.asgi.draining import NAME
from server_core.asgi.websocket_session import WebSocketExchange
from server_core.http.message import Head, RequestRejected
from server_core.http1.response_head import Defaults
from server_core.websocket.codec import FrameCodec
from server_core.websocket.connection import WebSocketConnection
from server_core.websocket.deflate import Deflate, negotiate
from server_core.websocket.handshake import Offer, acceptance, read_offer

if TYPE_CHECKING:
    from server_core.http1.interface import HttpConnection

ASGI: Final = {"version": "3.0", "spec_version": "2.5"}
"""2.5: `reason` in websocket.disconnect. A send() behind the end raises, as 2.4 has it."""


class Upgrade:
    """A handshake under way: what the session's accept() needs to know."""

    __slots__ = ("_connection", "_deflate", "_extension", "_offer", "_server")

    def __init__(self, connection: HttpConnection, offer: Offer) -> None:
        self._server = server = connection.server
        self._connection = connection
        self._offer = offer
        agreed = negotiate(offer.extensions) if server.settings.ws_per_message_deflate else None
        self._extension: bytes | None = None
        self._deflate: Deflate | None = None
        if agreed is not None:
            self._extension, self._deflate = agreed

    def accept(self, session: WebSocketExchange, subprotocol: object, headers: Iterable[object]) -> WebSocketConnection:
        """Answer 101, and put a channel in the connection's place."""
        server = self._server
        stream, request_ids = self._connection.stream, server.origin.request_ids
        defaults = stream.shared.defaults
        if request_ids is not None:
            own = request_ids.line(stream.head.request_id)  # type: ignore[union-attr]  # the handshake's
            defaults = Defaults(
                tuple((name, own if name == request_ids.name else line) for name, line in defaults.lines)
            )
        head = acceptance(self._offer, subprotocol, self._extension, headers, defaults)
        machine = FrameCodec(session.deliver, max_size=server.settings.ws_max_size, deflate=self._deflate)
        channel = WebSocketConnection(server, session, machine, sliced=self._deflate is not None)
        transport, held = self._connection.detach()
        server.responses[101] += 1  # the access log has it when it ends
        server.count_duration(monotonic() - session.started_at)
        server.registry.replace(self._connection, channel)
        channel.take_over(transport, head, held)
        return channel


def upgrade(connection: HttpConnection, head: Head, scope: dict[str, object]) -> WebSocketExchange | None:
    """The session for a request that is a WebSocket handshake, None for another; RequestRejected for a broken one.

    `scope` is the request's HTTP scope, and becomes the session's.
    """
    try:
        offer = read_offer(head)
        if offer is None:
            return None
        acceptor = Upgrade(connection, offer)
    except RequestRejected as refused:
        refused.head = head
        raise
    del scope["method"]
    scope["type"] = "websocket"
    scope["asgi"] = ASGI.copy()
    scope["scheme"] = "wss" if scope["scheme"] == "https" else "ws"
    scope["subprotocols"] = offer.subprotocols
    extensions = cast("dict[str, object]", scope["extensions"])
    offered: dict[str, object] = {name: extensions[name] for name in ("tls", NAME) if name in extensions}
    offered["websocket.http.response"] = {}
    scope["extensions"] = offered
    return WebSocketExchange(connection.stream, acceptor, scope, head.line, monotonic())
