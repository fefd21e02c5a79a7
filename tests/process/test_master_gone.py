"""kill -9 of the master: its workers finish what they have and end, while a new master serves on the same address."""

from __future__ import annotations

import os
import select
import socket
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
