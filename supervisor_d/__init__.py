"""supervisor-d: a process supervisor and server for Python ASGI applications."""

from __future__ import annotations

from supervisor_d._version import __version__ as __version__

TYPE_CHECKING = False  # typing's, which this package must not import
if TYPE_CHECKING:
    from typing import Unpack

    from supervisor_d.keywords import Keywords


def run(app: str, **settings: Unpack[Keywords]) -> None:
    """Serve `app` from a supervised set of workers until this process gets a signal to stop.

    Keywords are the settings by their names with underscores (`bind=["127.0.0.1:8000"]`, `workers=4`,
    `graceful_timeout="30s"`); file and environment are read as on the command line. Returns when stopped as asked.
    Raises SystemExit with the exit code otherwise, so that a script that ends with this call fails when the daemon
    does; what was wrong is on standard error by then.

    Workers import the application's module afresh, so the call belongs under `if __name__ == "__main__":`.
    """
    import sys  # these here: importing the package imports nothing but its version

    from supervisor_d.launch import launch
    from supervisor_d.settings.sources.provenance import Origin

    main = getattr(sys.modules["__main__"], "__spec__", None)
    if main is not None and main.name == "server_core.worker.__main__":
        raise RuntimeError(
            "supervisor_d.run() was called while a worker imported the application; "
            'put the call under `if __name__ == "__main__":`'
        )
    code = launch({**settings, "app": app}, Origin.ARGUMENT)
    if code != 0:
        raise SystemExit(code)
