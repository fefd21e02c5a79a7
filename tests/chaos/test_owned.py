"""Whose connections are whose, as the kernel tells it."""

from __future__ import annotations

import os
import socket
import subprocess
import sys

import pytest

from tests.chaos.owned import owned_ports

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="proc(5) is Linux's")


def test_a_connection_has_an_owner_once_it_is_accepted() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        with socket.create_connection(("127.0.0.1", port)) as client:
            own = client.getsockname()[1]
            assert owned_ports(os.getpid(), port) == set()
            accepted, _ = server.accept()
            with accepted:
                assert owned_ports(os.getpid(), port) == {own}


def test_a_process_that_is_gone_owns_nothing() -> None:
    child = subprocess.Popen(["true"])  # no os.fork(): CPython 3.15 warns of the thread that faulthandler has here
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    assert owned_ports(child.pid, 1) == set(), "a zombie"
    child.wait()
    assert owned_ports(child.pid, 1) == set(), "nobody"
