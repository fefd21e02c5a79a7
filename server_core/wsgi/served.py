"""What an application is to a server that has connections of their own for it, beside those of ASGI.

A leaf, so that the server knows of nothing else here.
"""

from __future__ import annotations

from typing import Any, Protocol


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
