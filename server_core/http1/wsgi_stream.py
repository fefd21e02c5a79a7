"""A transport that the pool's threads write to beside the event loop."""

from __future__ import annotations

from typing import Any, Final

from server_core.transport import syscalls
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
            SocketTransport.ready(self, events)  # and no super(), which compiled code would look up
            return
        with self._lock:
            SocketTransport.ready(self, events)

    def offer(self, out: bytes | tuple[bytes, bytes]) -> int:
        """How many of these bytes the kernel has taken; an error is left for the loop to meet."""
        if self._closing or self._kept:
            return NOTHING_SENT
        try:
            if type(out) is tuple:
                return syscalls.send_both(self._fd, out)
            return syscalls.send(self._fd, out)  # type: ignore[arg-type]  # not a tuple, so bytes
        except OSError:
            return NOTHING_SENT
