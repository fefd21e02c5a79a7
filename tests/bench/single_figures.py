"""What is not a rate: memory of idle connections and of four workers, time to the first answer and of a reload."""

from __future__ import annotations

import contextlib
import os
import resource
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Final

from tests.bench.forms import Environment
from tests.bench.process_tree import Failed, ProcessTree, free_port
from tests.bench.servers import SERVERS, Setup

IDLE: Final = 10_000
GET: Final = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"
APP_PID: Final = "tests.bench.apps:pid"


def ask(port: int) -> bytes:
    """The body of one answer on a connection of its own; OSError if there is none."""
    with socket.create_connection(("127.0.0.1", port), timeout=10) as sock:
        sock.sendall(GET.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
        heard = b""
        while part := sock.recv(65536):
            heard += part
    if not heard.startswith(b"HTTP/1.1 200"):
        raise OSError(f"answered {heard[:60]!r}")
    return heard.partition(b"\r\n\r\n")[2]


def until_answered(tree: ProcessTree, timeout_s: float = 30.0) -> float:
    """Seconds since the start until the first answer."""
    until = time.monotonic() + timeout_s
    while time.monotonic() < until:
        with contextlib.suppress(OSError):
            ask(tree.port)
            return time.monotonic() - tree.began_at
        if not tree.is_alive():
            break
        time.sleep(0.002)
    raise Failed("does not answer")


def idle_memory(tree: ProcessTree) -> float:
    """KiB of the tree's PSS for each of 10,000 kept-alive connections that have asked once."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(hard, IDLE + 500)), hard))
    until_answered(tree)
    before, socks = tree.pss_bytes(), []
    try:
        for number in range(IDLE):
            sock = socket.create_connection(("127.0.0.1", tree.port), timeout=10)
            socks.append(sock)
            sock.sendall(GET)
            if not sock.recv(4096).startswith(b"HTTP/1.1 200"):
                raise Failed(f"did not answer connection {number}")
        return (tree.pss_bytes() - before) / IDLE / 1024
    except OSError as error:
        raise Failed(f"connection {len(socks)} of {IDLE}: {error}") from error
    finally:
        for sock in socks:
            sock.close()


def reload_time(tree: ProcessTree) -> float:
    """Seconds from SIGHUP until another process answers, asked every few milliseconds."""
    until_answered(tree)
    before = {ask(tree.port) for _ in range(100)}  # so that no old worker is taken for a new one
    os.kill(tree.pid, signal.SIGHUP)
    began = time.monotonic()
    while time.monotonic() - began < 20:
        with contextlib.suppress(OSError):
            if ask(tree.port) not in before:
                return time.monotonic() - began
        time.sleep(0.002)
    raise Failed("no other process answers within 20 s of SIGHUP")


def memory_of_workers(tree: ProcessTree) -> float:
    """MiB of PSS of the whole tree with four workers that have answered 400 requests between them."""
    until_answered(tree)
    seen, since = tree.pids(), time.monotonic()
    until = since + 20
    # All are there when nobody has come for a second: how many processes a server has besides is its own affair.
    while time.monotonic() < until and (len(seen) < 5 or time.monotonic() < since + 1):
        time.sleep(0.05)
        if (pids := tree.pids()) != seen:
            seen, since = pids, time.monotonic()
    for _ in range(400):
        ask(tree.port)
    return tree.pss_bytes() / 1024**2


@dataclass(frozen=True, slots=True)
class Figure:
    """One row: `change` makes the setup what it has to be."""

    title: str
    unit: str
    measure: Callable[[ProcessTree], float]
    app: str
    change: Mapping[str, object]
    needs: str = ""


FIGURES: Final[Mapping[str, Figure]] = {
    "idle": Figure("10,000 idle connections, each", "KiB", idle_memory, "tests.bench.apps:hello", {}),
    "start": Figure(
        "from start to first answer, FastAPI", "s", until_answered, "tests.bench.framework_apps:fastapi", {}
    ),
    "reload": Figure(
        "from SIGHUP to the new process's first answer, 2 workers", "s", reload_time, APP_PID, {"workers": 2}, "reload"
    ),
    "memory-4": Figure(
        "4 FastAPI workers, total PSS",
        "MiB",
        memory_of_workers,
        "tests.bench.framework_apps:fastapi",
        {"workers": 4},
        "workers",
    ),
    "memory-4-preload": Figure(
        "4 FastAPI workers, total PSS, --preload",
        "MiB",
        memory_of_workers,
        "tests.bench.framework_apps:fastapi",
        {"workers": 4, "preload": True},
        "preload",
    ),
}


def measure(figure: Figure, name: str, environment: Environment, cpus: list[int]) -> float:
    """One figure of one server that is started for it, and ended."""
    server = SERVERS[name]
    setup = replace(Setup(environment.python, figure.app, free_port()), **figure.change)  # type: ignore[arg-type]  # the table
    output = environment.place / f"{name.replace('/', ' ')}.out"
    core = cpus[0] if setup.workers == 1 else None
    root = environment.roots[server.form]
    tree = ProcessTree(server.command(setup), setup.port, core=core, output=output, root=root)
    try:
        return figure.measure(tree)
    except subprocess.SubprocessError as error:
        raise Failed(str(error)) from error
    finally:
        tree.end()
