"""Which application is served, and how it is loaded and called."""

from __future__ import annotations

from server_core.records import dataclass
from server_core.settings.option import COUNT, PATH, SWITCH, at_least, choice, option
from server_core.settings.value_types import APP, THREADS, URL_PREFIX


@dataclass(frozen=True, kw_only=True)
class ApplicationSettings:
    """A part of ServerSettings."""

    __slots__ = ()

    app: str = option(
        "",
        kind=APP,
        section="application",
        help="The application: module:attribute, module:factory() or, with --factory, a module:callable.",
    )
    factory: bool = option(
        False,
        kind=SWITCH,
        section="application",
        help="APP names a callable that returns the application.",
    )
    interface: str = option(
        "auto",
        kind=choice("auto", "asgi3", "asgi2", "wsgi"),
        section="application",
        help="What the application speaks; auto tells them apart.",
    )
    threads: int = option(
        10,
        kind=THREADS,
        section="application",
        help="Threads in which a worker runs a WSGI application; 1 is its main thread. auto: 4 more than the CPUs that "
        "it may use, at most 32.",
    )
    app_dir: str = option(
        "",
        kind=PATH,
        section="application",
        help="Directory put first on the import path; the working directory if not given.",
    )
    lifespan: str = option(
        "auto",
        kind=choice("auto", "on", "off"),
        section="application",
        help="ASGI lifespan: auto goes on without it if the application does not know it; on requires it.",
    )
    root_path: str = option(
        "",
        kind=URL_PREFIX,
        section="application",
        help="Prefix under which a proxy serves the application (ASGI root_path).",
    )
    gc_threshold: int = option(
        0,
        kind=COUNT,
        section="application",
        check=at_least(0),
        help="Allocations between two looks of the garbage collector at young objects; 0 is Python's own number.",
    )
