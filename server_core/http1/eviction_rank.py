"""Where an HTTP/1.1 connection stands in the table of those that are evicted (connection/eviction.py)."""

from __future__ import annotations

from time import monotonic
from typing import Final

from server_core.connection.eviction import ANSWERED, FRESH, IDLE, NEVER, NEW_S, PARTING, SILENT, STUCK
from server_core.http1.interface import HttpConnection

FRESH_S: Final = 2.0
"""A kept-alive client that has been answered so recently is about to go on. Chosen; no evidence."""

STUCK_S: Final = 0.25
"""No younger request is slow. Chosen: a round trip between continents."""


def rank(connection: HttpConnection, now: float) -> tuple[int, float]:
    """Which kind of the table it is, and by what the lowest of a kind gives way."""
    since = connection.since
    if not connection.is_open:
        return PARTING, since
    if connection.is_busy:
        return _rank_busy(connection)
    if connection.reader.is_in_body or connection.transport.get_write_buffer_size():
        return ANSWERED, since
    if connection.is_idle:
        return (FRESH if now - since < FRESH_S else IDLE), since
    return (NEVER if now - since < NEW_S else SILENT), since


def _rank_busy(connection: HttpConnection) -> tuple[int, float]:
    """STUCK, by the bytes a second that have gone either way, if its application waits for the client."""
    exchange = connection.stream.exchange
    if exchange is None or not exchange.is_waiting:
        return NEVER, 0.0
    age = monotonic() - exchange.started_at
    if age < STUCK_S:
        return NEVER, 0.0
    if connection.full:
        return STUCK, (exchange.sent_bytes - connection.transport.get_write_buffer_size()) / age
    if connection.stream.body_wanted_at and not exchange.received:
        return STUCK, connection.reader.body_taken / age
    return NEVER, 0.0
