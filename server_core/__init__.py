"""The server core of supervisor-d: serves one ASGI application from one process, with or without a supervisor."""

from __future__ import annotations

__version__ = "0.1.0"


def run(
    app: object,
    *,
    host: str = "127.0.0.1",
    port: int = 8000,
    uds: str | None = None,
    fd: int | None = None,
    **settings: object,
) -> None:
    """Serve an ASGI application from this process until SIGTERM or SIGINT; for the main thread.

    `app` is the application itself, or its name (`module:attribute`). It listens on the Unix socket `uds` or the
    inherited descriptor `fd` if given, else on host and port. `settings` are those of `python -m server_core`.

    Raises what server_core.errors declares: UsageError, ListenerError, BootError. When it returns, signals have the
    handlers that they had before.
    """
    # Imported when called: a program that only imports this package, as a worker does, must not pay for the rest.
    from server_core.alone import Place
    from server_core.alone import run as serve
    from server_core.arguments import settings_from
    from server_core.process import handlers_kept

    named = settings_from({**settings, "app": app if isinstance(app, str) else None})
    with handlers_kept():
        serve(None if isinstance(app, str) else app, named, Place(host, port, uds, fd))


__all__ = ["__version__", "run"]
