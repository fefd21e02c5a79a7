"""Whose connections are whose, as the kernel tells it."""

from __future__ import annotations

import os
import socket
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
    child = os.fork()
    if child == 0:
        os._exit(0)
    os.waitid(os.P_PID, child, os.WEXITED | os.WNOWAIT)
    assert owned_ports(child, 1) == set(), "a zombie"
    os.waitpid(child, 0)
    assert owned_ports(child, 1) == set(), "nobody"
