"""What a response may have besides a head and a body: hints ahead of it, trailers behind it.

Rare paths, as in error_response.py: a stream calls them, and no other request comes by.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from server_core.asgi.response_states import AWAITING_START
from server_core.http1.response_fields import early_hints, trailer_lines

if TYPE_CHECKING:
    from server_core.asgi.http_exchange import Exchange
    from server_core.http.message import Fields
    from server_core.http1.interface import ResponseStream


def send_early_hints(stream: ResponseStream, exchange: Exchange, links: object) -> None:
    """Send a 103, unless the head has gone out. RFC 9110 15.2: a server "MUST NOT send a 1xx" to HTTP/1.0."""
    out = early_hints(links)
    if (exchange.phase is AWAITING_START or stream.writer.is_held) and exchange.line.version == "1.1" and out:
        stream.write(out)


def send_trailers(stream: ResponseStream, exchange: Exchange, fields: object, more: bool) -> None:
    """Write trailer fields, and without `more` the end of the response for clients that ask."""
    lines = trailer_lines(fields)
    out = stream.writer.trailers(lines) if takes_trailers(cast("Fields", exchange.scope["headers"])) else b""
    if out:
        stream.write(out)
    if not more:
        stream.respond(exchange, b"", False)


def takes_trailers(fields: Fields) -> bool:
    """Whether the client would keep them (RFC 9110 10.1.4): `TE: trailers`, among codings it may name besides."""
    offers = b",".join(value for name, value in fields if name == b"te").lower().split(b",")
    return any(offer.partition(b";")[0].strip(b" \t") == b"trailers" for offer in offers)
