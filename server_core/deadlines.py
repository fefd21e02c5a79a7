"""The deadlines of one connection, compared by the server's sweep with the coarse instants that it stores.

Every state of a connection has one: a connection that nobody waits for is closed, one that somebody waits for is told.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from server_core.http.wire import Refused
from server_core.refusal import refuse
from server_core.settings import ServerSettings

if TYPE_CHECKING:
    from server_core.connection import Connection


class Progress:
    """Whether a client takes what is written for it."""

    __slots__ = ("_stalled_at", "_taken_bytes", "written_bytes")

    def __init__(self, now: float) -> None:
        self.written_bytes = 0
        self._taken_bytes = 0
        self._stalled_at = now

    def is_stalled(self, now: float, waiting_bytes: int, timeout: float) -> bool:
        """Whether bytes have waited for `timeout` and none of them was taken."""
        taken = self.written_bytes - waiting_bytes
        if not waiting_bytes or taken != self._taken_bytes:
            self._taken_bytes = taken
            self._stalled_at = now
            return False
        return now - self._stalled_at > timeout


def check(connection: Connection, now: float, settings: ServerSettings) -> None:
    """End what has waited too long."""
    waited = now - connection.since
    size = connection.transport.get_write_buffer_size()
    if connection.progress.is_stalled(now, size, settings.write_timeout):
        connection.abort()
    elif not connection.is_open:
        return
    elif connection.is_busy:
        exchange = connection.exchange
        waits = connection.body_wanted_at and exchange is not None and exchange.is_waiting and not exchange.received
        if waits and now - connection.body_wanted_at > settings.body_timeout:
            refuse(connection, Refused(408, "request body timed out"))
    elif connection.reader.is_in_body:
        if waited > settings.body_timeout:
            connection.shut()
    elif not connection.reader.is_between_requests:
        if waited > settings.header_timeout:
            refuse(connection, Refused(408, "request head timed out"))
    elif connection.head is None:
        if waited > settings.header_timeout:
            connection.close()
    elif waited > settings.keep_alive:
        connection.close_if_idle()
