"""WSGI (PEP 3333) over the same connections that serve ASGI; contrib/docs/WSGI.md is the contract.

`WSGIMiddleware` is public: a WSGI application as an ASGI one, to be served by `--interface wsgi` or mounted in another.
"""

from __future__ import annotations

TYPE_CHECKING = False  # typing's, which need not be imported for this
if TYPE_CHECKING:
    from server_core.wsgi.middleware import WSGIMiddleware

__all__ = ["WSGIMiddleware"]


def __getattr__(name: str) -> object:
    """Imported when asked for: a server of an ASGI application asks for nothing here (PEP 562)."""
    if name != "WSGIMiddleware":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from server_core.wsgi.middleware import WSGIMiddleware

    return WSGIMiddleware
