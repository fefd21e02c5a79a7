"""The health probe: one GET of health-path, through the application itself, before it takes connections.

It runs inside the worker and needs no socket, so a worker proves that it can answer before any client can reach it.
The exchange is not used for it: it writes to a connection, and there is none.
"""

from __future__ import annotations

import asyncio
from typing import Final
from urllib.parse import unquote

from server_core.asgi.adapters import Application, AsgiMessage, Scope
from server_core.errors import BootError, application_traceback

BODY_TOLD: Final = 500
"""Bytes of an unsound answer's body that are told: enough for a JSON error. Chosen; no evidence."""


def probe_scope(path: str, root_path: str, state: dict[str, object] | None) -> Scope:
    """The scope of a plain GET from this machine. Host is localhost, which an application's host check must allow."""
    target, _, query = path.partition("?")
    scope: Scope = {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "method": "GET",
        "scheme": "http",
        "path": root_path + unquote(target),
        "raw_path": target.encode("ascii", "replace"),
        "query_string": query.encode("ascii", "replace"),
        "root_path": root_path,
        "headers": [(b"host", b"localhost"), (b"user-agent", b"supervisor-d-probe"), (b"accept", b"*/*")],
        "client": ("127.0.0.1", 0),
        "server": ("127.0.0.1", 0),
        "extensions": {},
    }
    if state is not None:
        scope["state"] = state.copy()
    return scope


class Answer:
    """Collects what the application answers."""

    def __init__(self) -> None:
        self.status = 0
        self.body = b""
        self.is_complete = asyncio.Event()
        self._asked = False

    async def receive(self) -> AsgiMessage:
        if not self._asked:
            self._asked = True
            return {"type": "http.request", "body": b"", "more_body": False}
        await self.is_complete.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: AsgiMessage) -> None:
        if message["type"] == "http.response.start":
            status = message["status"]
            if not isinstance(status, int):
                raise TypeError(f"status must be an int, not {status!r}")
            self.status = status
        elif message["type"] == "http.response.body":
            body = message.get("body", b"")
            if len(self.body) < BODY_TOLD and isinstance(body, bytes):
                self.body += body[:BODY_TOLD]
            if not message.get("more_body", False):
                self.is_complete.set()
        else:
            raise RuntimeError(f"{message['type']!r} is no answer to a GET")


async def probe(app: Application, path: str, *, root_path: str, state: dict[str, object] | None) -> None:
    """Return if the application answers `path` with 2xx or 3xx; BootError("probe", ...) if it does anything else.

    An answer that never comes is for the master's boot deadline.
    """
    answer = Answer()

    async def ask() -> BaseException | None:
        try:
            await app(probe_scope(path, root_path, state), answer.receive, answer.send)
        except asyncio.CancelledError:
            raise
        except BaseException as error:  # noqa: BLE001  # SystemExit, too, must not unwind the event loop
            return error
        return None

    # A task of its own, as every request has: libraries tell tasks apart, and cancel scopes are bound to theirs. Not by
    # the loop's task factory, which the application may have set: requests do not have it, either.
    error = await asyncio.Task(ask(), loop=asyncio.get_running_loop())
    if error is not None:
        raise BootError("probe", f"GET {path} raised:\n{application_traceback(error)}") from error
    if not 200 <= answer.status < 400:
        said = answer.body[:BODY_TOLD].decode("utf-8", "replace")
        what = f"was answered {answer.status}" if answer.status else "was not answered"
        raise BootError("probe", f"GET {path} {what}, not 2xx or 3xx" + (f": {said}" if said else ""))
    if not answer.is_complete.is_set():
        raise BootError("probe", f"GET {path} was answered {answer.status}, but the answer never ended")
