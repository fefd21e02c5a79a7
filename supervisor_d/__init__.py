"""supervisor-d: a process supervisor and server for Python ASGI applications."""

from __future__ import annotations

__version__ = "0.1.0"
