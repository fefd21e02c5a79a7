"""The table of loads: what is asked of whom. A load's name is what --loads takes and what results are kept under."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from tests.bench.loaders import BROWSER, Loader, Wrk, handshakes, websocket
from tests.bench.servers import SERVERS, Server

APPS: Final = "tests.bench.apps"
FRAMEWORKS: Final = "tests.bench.framework_apps"


@dataclass(frozen=True, slots=True)
class Load:
    """One row of the report. `needs` is what a server must be able to do to take part; floors only where they answer.

    `same_answer` is the path whose answer must be the same from all.
    """

    title: str
    app: str
    loader: Loader
    needs: str = ""
    workers: int = 1
    same_answer: str = "/"
    floors: bool = False

    def takes(self, server: Server) -> bool:
        if server.is_floor:
            return self.floors
        if "h11" in server.can:
            return self.needs == "h11"
        if self.needs == "h11":
            return False
        return not self.needs or self.needs in server.can


def _load(title: str, app: str, loader: Loader, needs: str = "", **more: object) -> Load:
    return Load(title, f"{APPS}:{app}" if ":" not in app else app, loader, needs, **more)  # type: ignore[arg-type]


LOADS: Final[Mapping[str, Load]] = {
    "hello": _load("hello", "hello", Wrk(), floors=True),
    "browser": _load("hello, ten browser headers", "hello", Wrk(headers=BROWSER), floors=True),
    "varied": _load("the same, one field new each time", "hello", Wrk(headers=BROWSER, lua="varied")),
    "post-1k": _load("POST 1 KiB, echoed", "echo", Wrk(lua="post_1k")),
    "post-1m": _load("POST 1 MiB, read", "swallow", Wrk(8, lua="post_1m")),
    "large": _load("100 KiB response", "large", Wrk()),
    "chunked": _load("100 chunks of 1 KiB", "chunked", Wrk()),
    "starlette": _load("Starlette, JSON", f"{FRAMEWORKS}:starlette", Wrk()),
    "fastapi": _load("FastAPI, JSON, `def` endpoint", f"{FRAMEWORKS}:fastapi", Wrk()),
    "waiting": _load("10 ms of awaited I/O, 512 connections", "waiting", Wrk(512)),
    "access-log": _load("hello, access log to a file", "hello", Wrk(), "access log"),
    "tls": _load("TLS, kept alive", "hello", Wrk(tls=True), "tls"),
    "handshakes": _load("TLS handshakes", "hello", handshakes, "tls"),
    "new-connection": _load("a new connection per request", "hello", Wrk(headers=("Connection: close",))),
    "one": _load("one connection, latency", "hello", Wrk(1)),
    "pipelined": _load("16 pipelined", "hello", Wrk(lua="pipelined")),
    "ws-64": _load("WebSocket echo, 64 B", "websocket_echo", websocket(64), "websocket"),
    "ws-16k": _load("WebSocket echo, 16 KiB", "websocket_echo", websocket(16384), "websocket"),
    "ws-broadcast": _load(
        "WebSocket, one to 32, 64 B", "websocket_broadcast", websocket(64, broadcast=True), "websocket"
    ),
    "file": _load("a file of 100 KiB, Starlette", f"{FRAMEWORKS}:starlette", Wrk(path="/file"), same_answer="/file"),
    "h11": _load("hello, h11 parser", "hello", Wrk(), "h11"),
    "workers-2": _load("2 workers, 256 connections", "hello", Wrk(256), "workers", workers=2),
    "workers-4": _load("4 workers, 256 connections", "hello", Wrk(256), "workers", workers=4),
}


def contestants(load: Load, names: list[str]) -> list[str]:
    """Who takes part, ours first."""
    return [name for name, server in SERVERS.items() if name in names and load.takes(server)]
