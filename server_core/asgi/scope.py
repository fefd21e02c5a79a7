"""From a checked request head to an ASGI scope.

Each request line, which the connections of a server share, keeps all that it and the server decide; a connection keeps
its addresses and its scheme. A scope is their union, one call in C that copies the first as a whole and enters what the
second holds, which is the smaller one. It gets `asgi`, `extensions`, `state` and header list of its own, because
applications write into them.

asgi.spec_version: from 2.4 on frameworks no longer listen for the disconnect, and rely on an OSError out of send(). One
that waits and sends nothing would then never learn of it: Starlette's StreamingResponse on a queue, left by its client,
was kept for ever. What 2.4 and 2.5 added else concerns WebSocket, whose scopes say 2.5 (websocket/upgrade.py).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from server_core.http.message import Head

ASGI: Final = {"version": "3.0", "spec_version": "2.3"}
"""Copied, never handed out: a copy of a dict takes half of the time in which one is filled."""


def template(root_path: str, *, has_state: bool) -> dict[str, object]:
    """What all requests of a server have in common, and a place for all that each has of its own.

    The places are why no scope grows while it is filled, which would cost as much as the filling.
    """
    places = ("server", "client", "scheme", "asgi", "http_version", "method", "path", "raw_path", "query_string")
    common: dict[str, object] = {
        "type": "http",
        "root_path": root_path,
        **dict.fromkeys((*places, "headers", "extensions")),
    }
    return {**common, "state": None} if has_state else common


def base_of(client: object, server: object, *, is_secure: bool) -> dict[str, object]:
    """What all requests of a connection have in common."""
    return {"client": client, "server": server, "scheme": "https" if is_secure else "http"}


def build(base: dict[str, object], head: Head, state: Mapping[str, object] | None) -> dict[str, object]:
    """The scope of one request."""
    line = head.line
    scope = line.scope | base
    scope["asgi"] = ASGI.copy()
    scope["extensions"] = line.extensions.copy()
    scope["headers"] = head.fields
    if state is not None:
        scope["state"] = dict(state)
    return scope
