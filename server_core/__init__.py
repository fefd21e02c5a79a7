"""The server core of supervisor-d: serves one ASGI application from one process, with or without a supervisor."""

from __future__ import annotations

TYPE_CHECKING = False  # typing's, which this package must not import
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Unpack

    from server_core.keywords import ServerKeywords
    from server_core.standalone.embedded import EmbeddedServer

__version__ = "0.1.0"


def run(
    app: object,
    *,
    host: str = "127.0.0.1",
    port: int = 8000,
    uds: str | None = None,
    fd: int | None = None,
    **settings: Unpack[ServerKeywords],
) -> None:
    """Serve an ASGI application from this process until SIGTERM or SIGINT; for the main thread.

    `app` is the application itself, or its name (`module:attribute`). It listens on the Unix socket `uds` or the
    inherited descriptor `fd` if given, else on host and port. `settings` are those of `python -m server_core`.

    Raises what server_core.errors declares: UsageError, ListenerError, BootError. When it returns, signals have the
    handlers that they had before.
    """
    # Imported when called: a program that only imports this package, as a worker does, must not pay for the rest.
    from server_core.runtime.early_signals import handlers_kept
    from server_core.standalone.arguments import settings_from
    from server_core.standalone.bind import BindAddress
    from server_core.standalone.runner import run as serve

    named = settings_from({**settings, "app": app if isinstance(app, str) else None})
    with handlers_kept():
        serve(None if isinstance(app, str) else app, named, BindAddress(host, port, uds, fd))


def serve(
    app: object, *, bind: str | Sequence[str] = "127.0.0.1:8000", **settings: Unpack[ServerKeywords]
) -> EmbeddedServer:
    """A server inside of this program: `async with` serves in the running event loop, `with` in a thread.

    `app` is the application itself, or its name. `bind` is `host:port`, `unix:path` or `fd://N`, one or several; with
    port 0, `server.addresses` says which it is. The block begins when the lifespan start-up is complete, and ends when
    the requests are over and the lifespan shutdown is complete. Signals are the program's.

    Raises UsageError for a setting; the block raises ListenerError or BootError when it begins.
    """
    from server_core.standalone.arguments import settings_from
    from server_core.standalone.embedded import EmbeddedServer

    return EmbeddedServer(app, settings_from({**settings, "app": app if isinstance(app, str) else None}), bind)


__all__ = ["__version__", "run", "serve"]
