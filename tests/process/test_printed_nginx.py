"""The nginx.conf that `init` prints, in a real nginx in front of the real daemon."""

from __future__ import annotations

import http.client
import os
import shutil
import signal
import subprocess
import threading
from pathlib import Path

import pytest

from supervisor_d.init.nginx import conf, upstreams_of
from tests.helpers.daemon import DEADLINE_S, free_listener, running

APP = """
async def app(scope, receive, send):
    if scope["type"] == "http":
        found = dict(scope["headers"])
        names = (b"x-request-id", b"x-forwarded-proto", b"host")
        body = b" ".join(found.get(name, b"-") for name in names) + b" " + scope["client"][0].encode()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": body})
"""


def ask(port: int, times: int, told: list[tuple[int, str]]) -> None:
    """So many requests on one kept-alive connection."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=DEADLINE_S)
    try:
        for _ in range(times):
            connection.request("GET", "/", headers={"Host": "shop.example"})
            response = connection.getresponse()
            told.append((response.status, response.read().decode()))
    finally:
        connection.close()


def test_requests_pass_through_it_and_none_is_lost_to_reloads(tmp_path: Path) -> None:
    nginx = shutil.which("nginx", path=f"{os.environ['PATH']}:/usr/sbin")
    if nginx is None or os.geteuid() != 0:
        pytest.skip("needs nginx, and root for the places that it writes to")
    (tmp_path / "app.py").write_text(APP)
    with free_listener() as front, running("--workers", "2", directory=tmp_path) as daemon:
        host, port = daemon.address()
        front_port = int(front.getsockname()[1])
        printed = conf(upstreams_of([f"{host}:{port}"])).replace("listen 80;", f"listen 127.0.0.1:{front_port};")
        (tmp_path / "nginx.conf").write_text(printed)
        here = f"daemon off; pid {tmp_path}/nginx.pid; error_log {tmp_path}/error.log warn;"
        process = subprocess.Popen(
            [nginx, "-p", str(tmp_path), "-e", "stderr", "-c", str(tmp_path / "nginx.conf"), "-g", here],
            env={**os.environ, "NGINX": f"{front.fileno()};"},  # its own way to hand listeners over: nothing is guessed
            pass_fds=[front.fileno()],
            stdout=subprocess.DEVNULL,
        )
        try:
            daemon.heard.expect("worker.ready", times=2)
            told: list[tuple[int, str]] = []
            asking = [threading.Thread(target=ask, args=[front_port, 300, told]) for _ in range(4)]
            for thread in asking:
                thread.start()
            reloads = [daemon.ctl("reload").returncode for _ in range(2)]
            for thread in asking:
                thread.join(DEADLINE_S)
        finally:
            process.send_signal(signal.SIGQUIT)
            process.wait(DEADLINE_S)
        assert reloads == [0, 0]
        assert [status for status, _ in told] == [200] * 1200
        assert len({body.split()[0] for _, body in told}) == 1200, "every request has an id of its own"
        assert {tuple(body.split()[1:]) for _, body in told} == {("http", "shop.example", "127.0.0.1")}
        complaints = (tmp_path / "error.log").read_text()
        ours = [line for line in complaints.splitlines() if "inherited sockets" not in line]
        assert ours == []
