"""What the server, its limits and its drain know of a connection, whichever protocol it speaks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from server_core.asgi.call import Call


class ManagedConnection(Protocol):
    """One open connection; all methods but calls() are for the loop's thread."""

    @property
    def is_busy(self) -> bool:
        """Whether a response is due."""

    @property
    def is_idle(self) -> bool:
        """Whether it may be closed at any moment: nothing is begun."""

    def calls(self) -> Sequence[Call]:
        """The calls of the application that it waits for; may be called from another thread."""

    def has_unread(self) -> bool:
        """Whether the kernel holds bytes that were not read yet."""

    def close_if_idle(self) -> None:
        """End it in good order, if nothing is begun."""

    def push_end(self) -> Callable[[], object] | None:
        """What ends its response, if that is one without an end in itself whose client knows that (drain.py)."""

    def evict(self) -> None:
        """Close it at once, for a new connection to have its descriptor."""

    def abort(self) -> None:
        """Cancel its call of the application and close it at once."""

    def check(self, now: float) -> None:
        """Compare each deadline with `now`, which is loop.time() in seconds; to be called about once a second."""

    def eviction_rank(self, now: float) -> tuple[int, float]:
        """Which kind of connection/eviction.py it is, and by what the lowest of a kind is evicted first."""
