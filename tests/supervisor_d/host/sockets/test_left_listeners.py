"""Whose listeners are shut down, and who is killed for them: it depends on who made the socket, not on who holds it."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from supervisor_d.host.sockets import left_listeners

NOBODY = 65534

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to be two users")


@contextmanager
def held(made_by: int, held_by: int) -> Iterator[tuple[subprocess.Popen[bytes], socket.socket, set[str]]]:
    """A process of one user that holds a listener which another has made, ours of it, and what its descriptor is of."""
    os.seteuid(made_by)
    try:
        listener = socket.create_server(("127.0.0.1", 0))
    finally:
        os.seteuid(0)
    with listener:
        holder = subprocess.Popen(["sleep", "600"], user=held_by, pass_fds=[listener.fileno()])
        try:
            yield holder, listener, {os.readlink(f"/proc/self/fd/{listener.fileno()}")}
        finally:
            holder.kill()
            holder.wait()


def is_listening(listener: socket.socket) -> bool:
    with socket.socket() as client:
        return client.connect_ex(listener.getsockname()) == 0


def test_a_worker_of_another_user_than_its_master_is_ours_all_the_same() -> None:
    with held(0, NOBODY) as (holder, listener, targets):
        if left_listeners.shut_down([holder.pid], targets):  # not where pidfd_getfd(2) is denied
            assert not is_listening(listener)
        assert left_listeners.kill([holder.pid], targets) == (holder.pid,)
        assert holder.wait() == -signal.SIGKILL


def test_a_socket_that_another_user_has_made_is_let_alone() -> None:
    with held(NOBODY, 0) as (holder, listener, targets):
        assert not left_listeners.shut_down([holder.pid], targets)
        assert left_listeners.kill([holder.pid], targets) == ()
        assert is_listening(listener)
        assert holder.poll() is None
