"""How a server serves a WSGI application over HTTP/1: in the loop's thread, or by a pool of threads."""

from __future__ import annotations

from typing import TYPE_CHECKING

from server_core.wsgi.size import threads_of

if TYPE_CHECKING:
    from server_core.connection.context import ServerContext
    from server_core.http1.shared import Http1Shared
    from server_core.wsgi.served import Alarm, Serving
    from server_core.wsgi.types import WsgiApplication


def serve(
    app: WsgiApplication, server: ServerContext, shared: Http1Shared, *, is_one_of_several: bool, alarm: Alarm
) -> Serving:
    """`is_one_of_several`: other processes may run the same application, be it for a reload."""
    # Imported when there is one: a worker of an ASGI application does without both.
    threads = threads_of(server.settings.threads)
    if threads == 1:
        from server_core.http1.wsgi_site import Site

        return Site(app, server, shared, is_one_of_several=is_one_of_several)
    from server_core.http1.wsgi_threaded import ThreadedSite
    from server_core.wsgi.stuck import StuckThreads
    from server_core.wsgi.threads import Pool

    watch = StuckThreads(Pool(threads, server.loop), server.log, server.failures.facts, alarm)
    return ThreadedSite(app, server, shared, watch, is_one_of_several=is_one_of_several)
