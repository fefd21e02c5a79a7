"""The server core of supervisor-d: serves one ASGI application from one process, with or without a supervisor."""

from __future__ import annotations

__version__ = "0.1.0"
