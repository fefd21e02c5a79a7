"""What all HTTP/1.1 connections of one server share: the parser, what is remembered of heads, the default fields."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from email.utils import formatdate
from typing import TYPE_CHECKING

from server_core.connection.counters import Counters
from server_core.http.message import HeaderParser
from server_core.http1 import header_parser
from server_core.http1.dropped_fields import DroppedNames
from server_core.http1.field_names import FieldNames
from server_core.http1.held_heads import HeldHeads
from server_core.http1.request_line import RequestLines
from server_core.http1.response_head import Defaults, ResponseHeadCache
from server_core.http1.writer import H1Writer
from server_core.log import Log
from server_core.proxy.forwarding import names_to_know
from server_core.settings.declaration import ServerSettings

if TYPE_CHECKING:
    from typing import Any

    from server_core.asgi.websocket_session import WebSocketExchange
    from server_core.http.message import Head

    Upgrader = Callable[[Any, Head, dict[str, object]], WebSocketExchange | None]
    """What makes a session of a handshake: the connection, its request's head and its scope. Any: the protocol above
    says what it asks of a connection, and is not known here."""


class Http1Shared:
    """One for all connections of a server."""

    __slots__ = ("_settings", "defaults", "headers", "heads", "held_heads", "lines", "new_writer", "parser", "upgrade")

    defaults: Defaults
    """The fields that every response gets, the date among them."""

    def __init__(
        self,
        settings: ServerSettings,
        log: Log,
        *,
        held_heads: HeldHeads,
        new_writer: Callable[[ResponseHeadCache], H1Writer],
        upgrade: Upgrader,
        extensions: Mapping[str, object],
        has_state: bool,
        counters: Counters,
    ) -> None:
        self._settings = settings
        self.parser = header_parser.choose(settings.http)
        self.headers = _new_parser(self.parser, settings, DroppedNames(log))
        counters.follow("dropped_fields_total", lambda: self.headers.dropped_total)
        self.lines = RequestLines(settings.root_path.rstrip("/"), self.headers.knows, extensions, has_state=has_state)
        self.heads = ResponseHeadCache(_fixed_defaults(settings))
        self.held_heads = held_heads
        self.new_writer = new_writer
        self.upgrade = upgrade
        self.renew_date()

    def renew_date(self) -> None:
        """To be called about once a second: the date that responses carry."""
        date = formatdate(time.time(), usegmt=True).encode("ascii")
        self.defaults = self.heads.defaults(date if self._settings.date_header else b"")


def _new_parser(name: str, settings: ServerSettings, dropped: DroppedNames) -> HeaderParser:
    names = FieldNames(names_to_know(settings), settings.underscore_headers, dropped.tell)
    return header_parser.make(name, names, settings.limit_header_bytes + settings.limit_request_line)


def _fixed_defaults(settings: ServerSettings) -> list[tuple[bytes, bytes]]:
    """Names and lines of the default fields that do not change with time."""
    lines = [
        (text.partition(":")[0].lower().encode("ascii"), f"{text}\r\n".encode("latin-1")) for text in settings.header
    ]
    if settings.server_header and all(name != b"server" for name, _ in lines):
        lines.insert(0, (b"server", b"server: supervisor-d\r\n"))
    if settings.request_id != "off":  # a place for it, so that it is known whether the application gave one itself
        lines.append((settings.request_id.lower().encode("ascii"), b""))
    return lines
