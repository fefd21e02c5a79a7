"""What an application is to a server that has connections of their own for it, beside those of ASGI.

A leaf, so that the server knows of nothing else here.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple, Protocol


class ThreadFigures(NamedTuple):
    """The pool of a WSGI application: how many threads there may be, and what they do."""

    most: int
    busy: int
    queued: int


NO_THREADS: Final = ThreadFigures(0, 0, 0)


class Serving(Protocol):
    """An application as one server serves it. Every method is for the loop's thread."""

    overloads_total: int
    """Requests that were answered 503 for limit-concurrency."""

    stream: Any
    """Makes the transport of a connected descriptor; called as Stream is."""

    def connect(self, peer: object, own: object) -> Any:
        """A new connection's protocol, a Connection."""

    def threads(self) -> ThreadFigures:
        """As they are now."""

    def sweep(self) -> None:
        """What is due about once a second."""

    def close(self) -> None:
        """Nothing is served any more."""
