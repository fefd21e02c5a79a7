"""The open connections of one server, and the calls of the application that go on without one."""

from __future__ import annotations

from collections.abc import Callable

from server_core.asgi.call import Call
from server_core.connection.interface import ManagedConnection
from server_core.contract.scoreboard import InFlight


class ConnectionRegistry:
    """Connections add and remove themselves; what depends on their number subscribes."""

    __slots__ = ("_on_change", "_on_removal", "background", "connections")

    def __init__(self) -> None:
        self.connections: dict[ManagedConnection, None] = {}
        """Open connections, in the order of their making."""
        self.background: set[Call] = set()
        """Calls whose application still runs without a connection: answered, or left by the client."""
        self._on_removal: list[Callable[[ManagedConnection], object]] = []
        self._on_change: list[Callable[[], object]] = []

    def subscribe(self, on_removal: Callable[[ManagedConnection], object], on_change: Callable[[], object]) -> None:
        """Have `on_removal` called with each connection that is gone, then `on_change`; that for ended calls, too."""
        self._on_removal.append(on_removal)
        self._on_change.append(on_change)

    def remove(self, connection: ManagedConnection) -> None:
        """A connection is gone, and its descriptor free."""
        self.connections.pop(connection, None)
        for tell in self._on_removal:
            tell(connection)
        self._changed()

    def replace(self, old: ManagedConnection, new: ManagedConnection) -> None:
        """`new` has the transport of `old` from now on; nobody is told, since the count is the same."""
        del self.connections[old]
        self.connections[new] = None

    def end_call(self, call: Call) -> None:
        """The application has returned from a call that has no connection any more."""
        self.background.discard(call)
        self._changed()

    def _changed(self) -> None:
        for tell in self._on_change:
            tell()

    @property
    def is_empty(self) -> bool:
        """Whether no connection is open, and no call is under way."""
        return not (self.connections or self.background)

    def count_in_flight(self) -> int:
        """Requests under way."""
        return sum(connection.is_busy for connection in self.connections) + len(self.background)

    def in_flight(self) -> list[InFlight]:
        """Unfinished requests, oldest first; may be called from another thread."""
        calls = [call for connection in list(self.connections) for call in connection.calls()]
        calls += list(self.background)
        return sorted(InFlight(call.started_at, call.line.method, str(call.scope["path"])) for call in calls)
