"""kill -9 of the master: its workers finish what they have and end, while a new master serves on the same address."""

from __future__ import annotations

import os
import select
import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

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


@contextmanager
def hung_orphan(directory: Path, graceful_timeout: str) -> Iterator[tuple[str, int]]:
    """The address that a hung worker holds, whose master was killed; and its pid."""
    (directory / "app.py").write_text(HANGING)
    flags = ("--workers", "1", "--timeout", "60", "--graceful-timeout", graceful_timeout)
    with running(*flags, directory=directory) as daemon:
        (ready,) = daemon.heard.expect("worker.ready")
        host, port = daemon.address()
        with socket.create_connection((host, port), timeout=DEADLINE_S) as client:
            client.sendall(b"GET /hang HTTP/1.1\r\nHost: test\r\n\r\n")
            assert not select.select([client], [], [], 0.5)[0]
            daemon.process.kill()
            daemon.process.wait()
            yield f"{host}:{port}", int(str(ready["pid"]))


def test_a_new_master_waits_for_a_hung_worker_of_the_old_one_and_says_for_whom(tmp_path: Path) -> None:
    with (
        hung_orphan(tmp_path, "3") as (address, pid),
        running("--workers", "1", directory=tmp_path, bind=address) as successor,
    ):
        (awaited,) = successor.heard.expect("socket.awaited")
        assert awaited["pids"] == [pid]
        successor.heard.expect("worker.ready")
        assert successor.get() == (200, "served")


def test_a_new_master_that_waits_is_stopped_at_once_and_gives_up_after_its_time(tmp_path: Path) -> None:
    with hung_orphan(tmp_path, "300") as (address, _):
        with running("--workers", "1", directory=tmp_path, bind=address) as successor:
            successor.heard.expect("socket.awaited")
            successor.signal(signal.SIGTERM)
            assert successor.wait() == 0
        with running("--graceful-timeout", "1", directory=tmp_path, bind=address) as impatient:
            impatient.heard.expect("socket.awaited")
            assert impatient.wait() == 4


def test_the_address_of_a_daemon_that_lives_is_not_waited_for(tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text(HANGING)
    with running("--workers", "1", directory=tmp_path) as daemon:
        daemon.heard.expect("worker.ready")
        host, port = daemon.address()
        with running("--workers", "1", directory=tmp_path, bind=f"{host}:{port}") as second:
            assert second.wait() == 4
            assert "socket.awaited" not in second.heard.names()
