"""kill -9 of the master: its workers finish what they have and end, while a new master serves on the same address."""

from __future__ import annotations

import os
import select
import signal
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from supervisor_d.host.sockets import left_listeners
from tests.helpers.daemon import DEADLINE_S, running

APP = """
async def app(scope, receive, send):
    if scope["type"] != "http":
        return
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"first.", "more_body": True})
    while (await receive())["more_body"]:
        pass
    await send({"type": "http.response.body", "body": b"last."})
"""


def read_until(client: socket.socket, end: bytes) -> bytes:
    taken = b""
    while not taken.endswith(end):
        data = client.recv(4096)
        assert data, taken
        taken += data
    return taken


def test_a_new_master_serves_on_the_address_while_the_old_ones_workers_finish(tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text(APP)
    with running("--workers", "2", directory=tmp_path) as daemon:
        pids = [int(str(ready["pid"])) for ready in daemon.heard.expect("worker.ready", times=2)]
        ends = [os.pidfd_open(pid) for pid in pids]
        host, port = daemon.address()
        with socket.create_connection((host, port), timeout=DEADLINE_S) as client:
            client.sendall(b"POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 1\r\n\r\n")
            read_until(client, b"first.\r\n")
            daemon.process.kill()
            daemon.heard.expect("worker.orphaned", times=2)
            with running("--workers", "1", directory=tmp_path, bind=f"{host}:{port}") as successor:
                successor.heard.expect("worker.ready")
                assert successor.get() == (200, "first.last.")
                client.sendall(b"x")
                assert b"last.\r\n" in read_until(client, b"0\r\n\r\n")
        poll = select.poll()
        for end in ends:
            poll.register(end, select.POLLIN)
        while ends:
            ended = {fd for fd, _ in poll.poll(DEADLINE_S * 1000)}
            assert ended, f"an orphan lives on: {daemon.transcript()}"
            for fd in ended:
                poll.unregister(fd)
                os.close(fd)
            ends = [fd for fd in ends if fd not in ended]


HANGING = """
import threading
async def app(scope, receive, send):
    if scope["type"] != "http":
        return
    if scope["path"] == "/hang":
        threading.Event().wait()
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"served"})
"""

MAY_NOT_COPY = (
    sys.executable,
    "-c",
    """
import ctypes, os, struct, sys
# As Docker's profile does: EPERM for pidfd_getfd(2), which is 438, and all else is allowed (seccomp(2)).
filters = b"".join(struct.pack("=HBBI", *each) for each in (
    (0x20, 0, 0, 0), (0x15, 0, 1, 438), (0x06, 0, 0, 0x50001), (0x06, 0, 0, 0x7FFF0000)))
buffer = ctypes.create_string_buffer(filters)
program = ctypes.create_string_buffer(struct.pack("HP", 4, ctypes.addressof(buffer)))
libc = ctypes.CDLL(None, use_errno=True)
assert libc.prctl(38, 1, 0, 0, 0) == 0  # PR_SET_NO_NEW_PRIVS
assert libc.prctl(22, 2, program, 0, 0) == 0, os.strerror(ctypes.get_errno())  # PR_SET_SECCOMP
os.execvp(sys.argv[1], sys.argv[1:])
""",
)
"""A prefix for a successor that may not copy what the worker holds."""


@contextmanager
def hung_orphan(directory: Path, bind: str, *, stopped: bool = False) -> Iterator[tuple[str, int]]:
    """The address that a worker holds which hangs, or is stopped, and whose master was killed; and its pid."""
    (directory / "app.py").write_text(HANGING)
    flags = ("--workers", "1", "--timeout", "600", "--graceful-timeout", "300")
    with running(*flags, directory=directory, bind=bind) as daemon:
        (ready,) = daemon.heard.expect("worker.ready")
        pid = int(str(ready["pid"]))
        address = str(daemon.heard.expect("socket.bound")[0]["address"])
        with connected(address) as client:
            client.sendall(b"GET /hang HTTP/1.1\r\nHost: test\r\n\r\n")
            assert not select.select([client], [], [], 0.5)[0]
            if stopped:
                os.kill(pid, signal.SIGSTOP)
            daemon.process.kill()
            daemon.process.wait()
            yield address, pid


def connected(address: str) -> socket.socket:
    if address.startswith("unix:"):
        client = socket.socket(socket.AF_UNIX)
        client.settimeout(DEADLINE_S)
        client.connect(address.removeprefix("unix:").replace("@", "\0"))
        return client
    host, _, port = address.rpartition(":")
    return socket.create_connection((host, int(port)), timeout=DEADLINE_S)


def answers(address: str) -> bool:
    with connected(address) as client:
        client.sendall(b"GET / HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n")
        return client.recv(4096).startswith(b"HTTP/1.1 200 ")


def may_copy(pid: int) -> bool:
    """Whether we may copy a descriptor of a process that is not our child (ptrace(2))."""
    process = os.pidfd_open(pid)
    try:
        os.close(left_listeners._copy(process, 2))
    except OSError:
        return False
    finally:
        os.close(process)
    return True


@pytest.mark.parametrize("bind", ["127.0.0.1:0", "unix:{}/app.sock"])
def test_the_listener_of_a_stopped_worker_of_a_dead_master_is_shut_down_and_bound_anew(
    tmp_path: Path, bind: str
) -> None:
    with hung_orphan(tmp_path, bind.format(tmp_path), stopped=True) as (address, pid):
        if not may_copy(pid):
            pytest.skip("may not copy descriptors of others here (pidfd_getfd(2))")
        with running("--workers", "1", directory=tmp_path, bind=address) as successor:
            (freed,) = successor.heard.expect("socket.freed")
            assert (freed["pids"], freed["how"]) == ([pid], "shut down")
            successor.heard.expect("worker.ready")
            assert answers(address)
            os.kill(pid, signal.SIGCONT)  # it goes on, and does its successor no harm
            assert answers(address)
            assert successor.status()["state"] == "serving"


@pytest.mark.parametrize(("bind", "stopped"), [("127.0.0.1:0", False), ("unix:@{}", True)])
def test_where_that_cannot_be_the_worker_has_its_time_and_is_killed_then(
    tmp_path: Path, bind: str, stopped: bool
) -> None:
    """An abstract name stays taken as long as any process has the socket, be it shut down or not."""
    with hung_orphan(tmp_path, bind.format(tmp_path.name), stopped=stopped) as (address, pid):
        with running(directory=tmp_path, bind=address, command=MAY_NOT_COPY) as successor:
            (awaited,) = successor.heard.expect("socket.awaited")
            assert awaited["pids"] == [pid]
            successor.signal(signal.SIGTERM)
            assert successor.wait() == 0  # at once, with the worker left as it was
        flags = ("--workers", "1", "--graceful-timeout", "1")
        command = () if "@" in address else MAY_NOT_COPY
        with running(*flags, directory=tmp_path, bind=address, command=command) as successor:
            successor.heard.expect("socket.awaited")
            (freed,) = successor.heard.expect("socket.freed")
            assert (freed["pids"], freed["how"]) == ([pid], "killed")
            successor.heard.expect("worker.ready")
            assert answers(address)


def test_the_address_of_a_daemon_that_lives_is_not_waited_for(tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text(HANGING)
    with running("--workers", "1", directory=tmp_path) as daemon:
        daemon.heard.expect("worker.ready")
        host, port = daemon.address()
        with running("--workers", "1", directory=tmp_path, bind=f"{host}:{port}") as second:
            assert second.wait() == 4
            assert "socket.awaited" not in second.heard.names()
