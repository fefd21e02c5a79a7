"""How the servers are started that are compared over WebSocket: each as its documentation says, one worker, quiet."""

from __future__ import annotations

import sys
from collections.abc import Mapping

SERVERS: Mapping[str, str] = {
    "supervisor-d": "{python} -m server_core {app} --log-level error --port {port}",
    "uvicorn websockets-sansio": "{bin}uvicorn {app} --log-level error --ws websockets-sansio --port {port}",
    "uvicorn wsproto": "{bin}uvicorn {app} --log-level error --ws wsproto --port {port}",
    "granian": "{bin}granian {app} --interface asgi --no-access-log --log-level error --port {port}",
    "gunicorn -k asgi": "{bin}gunicorn {app} -k asgi --log-level error -b 127.0.0.1:{port}",
    "hypercorn": "{bin}hypercorn {app} -b 127.0.0.1:{port} --log-level error",
}


def command(name: str, app: str, port: int, programs: str) -> list[str]:
    """What starts this server; `programs` is the directory of the peers' programs."""
    return SERVERS[name].format(python=sys.executable, bin=f"{programs}/", app=app, port=port).split()
