"""What an application is to a server that has connections of their own for it, beside those of ASGI.

A leaf, so that the server knows of nothing else here.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, NamedTuple, Protocol


class Stuck(NamedTuple):
    """A pool of which some threads have run one request each for longer than the limit."""

    busy: int
    threads: int
    queued: int
    oldest_s: float
    where: str
    """The innermost call of the application in the thread that is stuck longest; empty if it is not known."""
    stacks: str
    """Those of all threads that are stuck, longest first."""


class Alarm(NamedTuple):
    """When a thread counts as stuck, and who is to hear of it besides the log."""

    limit_s: float
    """Seconds that one request may run; 0 is for ever."""
    tell: Callable[[Stuck], bool]
    """Whether it was heard; else it is told anew at the next look. For the loop's thread, and does not wait."""


STUCK_S: Final = 30.0
"""Where nothing sets it. Precedent: gunicorn's timeout."""

ALARM: Final = Alarm(STUCK_S, lambda _: True)
"""Of a server that has no master."""


class Serving(Protocol):
    """An application as one server serves it. Every method is for the loop's thread."""

    stream: Any
    """Makes the transport of a connected descriptor; called as Stream is."""

    def connect(self, peer: object, own: object) -> Any:
        """A new connection's protocol, a Connection."""

    def sweep(self) -> None:
        """What is due about once a second."""

    def close(self) -> None:
        """Nothing is served any more."""
