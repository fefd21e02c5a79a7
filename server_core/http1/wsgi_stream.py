"""A transport that the pool's threads write to beside the event loop."""

from __future__ import annotations

from typing import Any, Final

from server_core.transport import syscalls as system_calls
from server_core.transport.socket_transport import SocketTransport

NOTHING_SENT: Final = 0


class SharedStream(SocketTransport):
    """A transport that threads may write to while they hold its connection's lock."""

    __slots__ = ("_lock",)

    def __init__(self, loop: Any, poller: Any, fd: int, protocol: Any) -> None:
        super().__init__(loop, poller, fd, protocol)
        self._lock = getattr(protocol, "lock", None)  # that of TLS has none: its bytes pass through the loop

    def ready(self, events: int) -> None:
        if self._lock is None:
            super().ready(events)
            return
        with self._lock:
            super().ready(events)

    def offer(self, out: bytes | tuple[bytes, bytes]) -> int:
        """How many of these bytes the kernel has taken; an error is left for the loop to meet."""
        if self.is_closing() or self.get_write_buffer_size():
            return NOTHING_SENT
        try:
            if type(out) is tuple:
                return system_calls.send_both(self.fileno(), out)
            return system_calls.send(self.fileno(), out)  # type: ignore[arg-type]  # not a tuple, so bytes
        except OSError:
            return NOTHING_SENT
