"""What clients that say nothing, or never end what they say, cost the worker that waits for them."""

from __future__ import annotations

import socket
from contextlib import ExitStack
from pathlib import Path

import psutil
import pytest

from tests.helpers.certificates import authority, localhost
from tests.helpers.daemon import DEADLINE_S, PID_APP, running

CROWD = 400
"""Fewer than the 1,024 descriptors that a process has by default; 5,000 cost the same each (LIMITS.md)."""

EACH_BYTES = 10_000
"""Issue 4: "nor cost more than 10 KB each"."""

HALF = b"GET / HTTP/1.1\r\nhost: localhost\r\nuser-agent: slow\r\n"


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
@pytest.mark.parametrize("kind", ["silent", "half a head", "silent, TLS"])
def test_a_crowd_that_is_waited_for_costs_little_and_a_normal_client_is_served(
    kind: str, loop: str, tmp_path: Path
) -> None:
    (tmp_path / "app.py").write_text(PID_APP)
    tls = ("--ssl-certfile", localhost().certificate, "--ssl-keyfile", localhost().key) if "TLS" in kind else ()
    settings = ("--loop", loop, "--header-timeout", "10m", *tls)
    with running(*settings, directory=tmp_path) as daemon, ExitStack() as crowd:
        daemon.heard.expect("worker.ready")
        (pid,) = daemon.pids().values()
        worker = psutil.Process(pid)

        def come(number: int) -> int:
            """Let so many come, and tell what the worker holds once they have been let in."""
            for _ in range(number):
                client = crowd.enter_context(socket.create_connection(daemon.address(), timeout=DEADLINE_S))
                client.sendall(HALF if kind == "half a head" else b"")
            ask(daemon.address(), is_tls=bool(tls))  # who comes last is let in last
            return int(worker.memory_full_info().uss)

        before = come(50)
        assert (come(CROWD) - before) / CROWD < EACH_BYTES


def ask(address: tuple[str, int], *, is_tls: bool) -> None:
    """Be a normal client."""
    with socket.create_connection(address, timeout=DEADLINE_S) as plain:
        client = authority().client().wrap_socket(plain, server_hostname="localhost") if is_tls else plain
        client.sendall(b"GET / HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n")
        assert client.recv(65536).startswith(b"HTTP/1.1 200 ")
        client.close()
