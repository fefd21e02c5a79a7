"""What WebSockets may do; durations in seconds, sizes in bytes."""

from __future__ import annotations

from server_core.records import dataclass
from server_core.settings.option import BYTES, SECONDS, SWITCH, at_least, off_or_at_least, option


@dataclass(frozen=True, kw_only=True)
class WebSocketSettings:
    """A part of ServerSettings."""

    __slots__ = ()

    ws_max_size: int = option(
        16 * 1024**2,
        kind=BYTES,
        section="websocket",
        check=at_least(125),
        help="Largest WebSocket message, after decompression; a larger one ends the connection with code 1009.",
    )
    ws_ping_interval: float = option(
        20.0,
        kind=SECONDS,
        section="websocket",
        check=off_or_at_least(1),
        help="Silence after which a WebSocket's peer is pinged; 0 is never.",
    )
    ws_ping_timeout: float = option(
        20.0,
        kind=SECONDS,
        section="websocket",
        check=off_or_at_least(1),
        help="How long a pinged peer may stay silent before the connection is given up; 0 is for ever.",
    )
    ws_per_message_deflate: bool = option(
        True,
        kind=SWITCH,
        section="websocket",
        help="Compress WebSocket messages for clients that offer it (RFC 7692).",
    )
