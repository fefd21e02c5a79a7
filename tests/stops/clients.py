"""How long a stop takes with a client of each kind connected, which neither asks for anything more nor closes."""

from __future__ import annotations

import http.client
import json
import select
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from tests.helpers.daemon import REPOSITORY, environment

DEADLINE_S = 60.0
HERE = Path(__file__).parent
FRAMEWORKS = HERE.parent / "frameworks" / "apps"

Connect = Callable[[int], socket.socket]

HANDSHAKE = {
    "Upgrade": "websocket",
    "Connection": "Upgrade",
    "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
    "Sec-WebSocket-Version": "13",
}
ENGINE = "/socket.io/?EIO=4&transport="
MCP = {"Accept": "application/json, text/event-stream", "Content-Type": "application/json"}
HELLO = {"protocolVersion": "2025-03-26", "capabilities": {}, "clientInfo": {"name": "tests", "version": "1"}}


def asked(port: int, path: str, fields: Mapping[str, str] | None = None) -> socket.socket:
    """A request that was sent."""
    client = socket.create_connection(("127.0.0.1", port), timeout=DEADLINE_S)
    told = "".join(f"{name}: {value}\r\n" for name, value in {"Host": f"127.0.0.1:{port}", **(fields or {})}.items())
    client.sendall(f"GET {path} HTTP/1.1\r\n{told}\r\n".encode())
    return client


def begun(path: str, mark: bytes = b"\r\n\r\n", fields: Mapping[str, str] | None = None) -> Connect:
    """Connects, and waits until this has come of the answer."""

    def connect(port: int) -> socket.socket:
        client, data = asked(port, path, fields), b""
        while mark not in data:
            more = client.recv(65536)
            assert more, f"{path}: closed behind {data!r}"
            data += more
        return client

    return connect


def call(port: int, method: str, path: str, fields: dict[str, str], body: bytes = b"") -> http.client.HTTPResponse:
    """A request and its whole answer; the body is in `peek()` no more, but read() again gives nothing."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=DEADLINE_S)
    connection.request(method, path, body or None, fields)
    return connection.getresponse()


def engine_poll(port: int) -> socket.socket:
    """A client of Socket.IO that polls: the request that waits for the next message."""
    opened = call(port, "GET", f"{ENGINE}polling", {}).read()
    path = f"{ENGINE}polling&sid={json.loads(opened[1:])['sid']}"
    call(port, "POST", path, {}, b"40").read()
    call(port, "GET", path, {}).read()
    return asked(port, path)


def mcp_stream(port: int) -> socket.socket:
    """A client of MCP's streamable HTTP that listens for what the server has to say."""
    body = {"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": HELLO}
    answer = call(port, "POST", "/mcp", MCP, json.dumps(body).encode())
    answer.read()
    session = {"mcp-session-id": str(answer.getheader("mcp-session-id"))}
    call(port, "POST", "/mcp", {**MCP, **session}, b'{"jsonrpc":"2.0","method":"notifications/initialized"}').read()
    return begun("/mcp", fields={"Accept": "text/event-stream", **session})(port)


def notebook(port: int) -> socket.socket:
    call(port, "GET", "/", {}).read()
    return begun("/ws?session_id=s_tests", fields=HANDSHAKE)(port)


def in_framework(name: str) -> Iterator[tuple[str, str, Connect]]:
    app = f"{name}_app:app"
    yield f"{name}, WebSocket", app, begun("/ws", fields=HANDSHAKE)
    yield f"{name}, endless events", app, begun("/events", b"data: 1")
    yield f"{name}, idle", app, begun("/hello?name=you", b"hello you")


def kinds() -> Iterator[tuple[str, str, Connect]]:
    """Name, application, and how a client connects."""
    for name in ("starlette", "fastapi", "django", "litestar", "quart"):
        yield from in_framework(name)
    yield "Starlette, waiting events", "sse_app:app", begun("/events", b"data: 0")
    yield "sse-starlette", "sse_app:app", begun("/library", b"data: 0")
    yield "long poll that awaits draining", "sse_app:app", lambda port: asked(port, "/poll")
    yield "Starlette, waiting WebSocket", "sse_app:app", begun("/socket", fields=HANDSHAKE)
    yield "Socket.IO, WebSocket", "socketio_app:app", begun(f"{ENGINE}websocket", fields=HANDSHAKE)
    yield "Socket.IO, polling", "socketio_app:app", engine_poll
    yield "Socket.IO, polling, told to part", "socketio_app:parting", engine_poll
    yield "MCP, streamable HTTP", "mcp_app:app", mcp_stream
    yield "Gradio, heartbeat", "gradio_app:app", begun("/gradio_api/heartbeat/tests")
    yield "marimo", "marimo_app:app", notebook


@dataclass(frozen=True)
class Server:
    """What serves an application, and how it is started."""

    name: str
    command: tuple[str, ...]
    where: str


SERVERS = (
    Server("supervisor-d", ("-m", "supervisor_d", "run", "--log-format", "json", "--control-socket", "off"), "--bind"),
    Server("uvicorn", ("-m", "uvicorn", "--timeout-graceful-shutdown", "30"), "--port"),
)


def stop(server: Server, python: str, app: str, connect: Connect) -> float:
    """Seconds from TERM to exit; AssertionError if it cannot be asked."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    address = str(port) if server.where == "--port" else f"127.0.0.1:{port}"
    directory = HERE / "apps" if (HERE / "apps" / f"{app.partition(':')[0]}.py").exists() else FRAMEWORKS
    process = subprocess.Popen(
        [python, *server.command, app, server.where, address],
        cwd=directory,
        env={**environment(), "PYTHONPATH": str(REPOSITORY)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        await_listener(port)
        with connect(port):
            began = time.monotonic()
            process.terminate()
            process.wait(DEADLINE_S)
            return time.monotonic() - began
    finally:
        with suppress(ProcessLookupError):
            process.kill()
        process.wait()


def await_listener(port: int) -> None:
    """Return when somebody listens."""
    deadline = time.monotonic() + DEADLINE_S
    while time.monotonic() < deadline:
        with socket.socket() as client:
            if client.connect_ex(("127.0.0.1", port)) == 0:
                return
        select.select([], [], [], 0.05)  # nothing tells when a foreign server listens
    raise AssertionError(f"nobody listens at port {port}")


def table(python: str, only: str) -> Iterator[str]:
    """A row for each kind, in seconds."""
    yield "| client | " + " | ".join(server.name for server in SERVERS) + " |"
    yield "|---|" + "---|" * len(SERVERS)
    for name, app, connect in kinds():
        if only.lower() not in name.lower():
            continue
        cells = []
        for server in SERVERS:
            try:
                cells.append(f"{stop(server, python, app, connect):.1f} s")
            except (AssertionError, OSError, subprocess.TimeoutExpired, http.client.HTTPException, ValueError) as error:
                cells.append(f"{type(error).__name__}")
        yield f"| {name} | " + " | ".join(cells) + " |"
