"""What asks the servers: wrk for HTTP, openssl for handshakes, plain sockets for WebSocket. One round at a time."""

from __future__ import annotations

import re
import socket
import ssl
import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from tests.bench.process_tree import Failed, ProcessTree
from tests.bench.websocket_frames import client_frame, connect

LUA: Final = Path(__file__).parent / "lua"
WEBSOCKETS: Final = 32
TIMEOUT_S: Final = 20.0

BROWSER: Final = (
    "Cache-Control: max-age=0",
    "User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0",
    "Accept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
    "Accept-Encoding: gzip, deflate, br, zstd",
    "Accept-Language: en-US,en;q=0.5",
    "Cookie: session=0123456789abcdef0123456789abcdef; theme=dark",
    "Referer: http://localhost/",
    "DNT: 1",
    "Upgrade-Insecure-Requests: 1",
    "Sec-Fetch-Mode: navigate",
)
"""Ten fields that a browser sends, besides Host."""


@dataclass(frozen=True, slots=True)
class Round:
    """One round against one server: what was answered, in which time, and the latencies, where they are known."""

    requests: int
    seconds: float
    cpu_s: float
    p50_ms: float | None = None
    p99_ms: float | None = None


Loader = Callable[[ProcessTree, float, int | None], Round]


def _ms(text: str) -> float:
    """wrk's 812.00us, 1.25ms or 1.02s in milliseconds."""
    number, unit = re.fullmatch(r"([0-9.]+)(us|ms|s|m)", text.strip()).groups()  # type: ignore[union-attr]  # wrk's own
    return float(number) * {"us": 1e-3, "ms": 1.0, "s": 1e3, "m": 6e4}[unit]


@dataclass(frozen=True, slots=True)
class Wrk:
    """wrk with so many connections on one thread; it knows whole seconds only. `lua` is a script of ours, or a path."""

    connections: int = 64
    path: str = "/"
    lua: str | None = None
    headers: Sequence[str] = ()
    tls: bool = False
    per_request: int = field(default=1)

    def __call__(self, tree: ProcessTree, seconds: float, core: int | None) -> Round:
        scheme = "https" if self.tls else "http"
        command = ["taskset", "-c", str(core)] if core is not None else []
        command += [
            "wrk",
            "-t1",
            f"-c{self.connections}",
            f"-d{max(1, round(seconds))}s",
            "--latency",
            "--timeout",
            "10s",
        ]
        command += ["-s", str(LUA / f"{self.lua}.lua" if "/" not in self.lua else self.lua)] if self.lua else []
        for header in self.headers:
            command += ["-H", header]
        before = tree.cpu_s()
        command.append(f"{scheme}://127.0.0.1:{tree.port}{self.path}")
        ended = subprocess.run(command, check=False, capture_output=True, text=True)
        spent = tree.cpu_s() - before
        said = ended.stdout
        counted = re.search(r"(\d+) requests in ([0-9.]+\w+)", said)
        wrong = re.search(r"Non-2xx or 3xx responses: \d+|Socket errors: .*", said)
        if counted is None or not int(counted[1]):
            raise Failed(f"answered nothing: {(said + ended.stderr).strip()[-200:]}")
        if wrong is not None:
            raise Failed(wrong[0])
        halves = dict(re.findall(r"^ +(50|99)%\s+(\S+)$", said, re.MULTILINE))
        return Round(int(counted[1]), _ms(counted[2]) / 1e3, spent, _ms(halves["50"]), _ms(halves["99"]))


def handshakes(tree: ProcessTree, seconds: float, core: int | None) -> Round:
    """New TLS connections, one after the other, each closed at once; by Python's own ssl."""
    del core  # the caller's
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    done, before, began = 0, tree.cpu_s(), time.monotonic()
    times: list[float] = []
    while time.monotonic() - began < seconds:
        at = time.monotonic()
        with (
            socket.create_connection(("127.0.0.1", tree.port), timeout=TIMEOUT_S) as plain,
            context.wrap_socket(plain) as sock,
        ):
            sock.sendall(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            if not sock.recv(65536).startswith(b"HTTP/1.1 200"):
                raise Failed("answers something else over TLS")
        times.append(time.monotonic() - at)
        done += 1
    return _round(done, began, tree.cpu_s() - before, times)


def websocket(size: int, *, broadcast: bool = False) -> Loader:
    """A frame on each of 32 connections, then all answers, again and again; or one speaks, and all are told."""

    def loader(tree: ProcessTree, seconds: float, core: int | None) -> Round:
        del core
        socks = [connect(tree.port) for _ in range(WEBSOCKETS)]
        for sock in socks:
            sock.settimeout(TIMEOUT_S)
        frame = client_frame(size)
        speakers = socks[:1] if broadcast else socks
        expected = len(frame) - 4
        done, before, began = 0, tree.cpu_s(), time.monotonic()
        times: list[float] = []
        try:
            while time.monotonic() - began < seconds:
                at = time.monotonic()
                for sock in speakers:
                    sock.sendall(frame)
                for sock in socks:
                    if len(sock.recv(expected, socket.MSG_WAITALL)) != expected:
                        raise Failed("closed a WebSocket")
                times.append(time.monotonic() - at)
                done += len(socks)
        except OSError as error:
            raise Failed(f"WebSocket: {error}") from error
        finally:
            for sock in socks:
                sock.close()
        return _round(done, began, tree.cpu_s() - before, times)

    return loader


def _round(done: int, began: float, cpu_s: float, times: list[float]) -> Round:
    times.sort()
    if not done:
        raise Failed("answered nothing")
    return Round(
        done, time.monotonic() - began, cpu_s, times[len(times) // 2] * 1e3, times[int(len(times) * 0.99)] * 1e3
    )
