"""`--statsd`: a server of the test's own hears what was served, also by workers that are gone."""

from __future__ import annotations

import os
import re
import signal
import socket
from collections import Counter
from pathlib import Path

import pytest

from tests.helpers.daemon import DEADLINE_S, running

APP = """
async def app(scope, receive, send):
    if scope["type"] == "http":
        if scope["path"] == "/boom":
            raise RuntimeError("boom")
        await send({"type": "http.response.start", "status": int(scope["path"][1:]), "headers": []})
        await send({"type": "http.response.body"})
"""


class Server:
    """What came, by metric: counts added up, timers by their number, of gauges the last one."""

    def __init__(self, sock: socket.socket) -> None:
        self.socket = sock
        self.socket.settimeout(DEADLINE_S)
        self.found: Counter[str] = Counter()

    def hear(self) -> None:
        for line in self.socket.recv(65536).decode().split("\n"):
            match = re.fullmatch(r"([\w.]+):([\d.]+)\|(c|ms|g)(?:\|@([\d.e-]+))?\|#env:test", line)
            assert match is not None, line
            name, value, kind, rate = match.groups()
            if kind == "g":
                self.found[name] = int(value)
            else:
                self.found[name] += int(value) if kind == "c" else round(1 / float(rate or 1))

    def hear_until(self, name: str, number: int) -> None:
        while self.found[name] < number:
            self.hear()


@pytest.mark.parametrize("family", [socket.AF_INET, socket.AF_UNIX])
def test_what_was_served_is_told_once_also_of_a_worker_that_was_killed(tmp_path: Path, family: int) -> None:
    (tmp_path / "app.py").write_text(APP)
    with socket.socket(family, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0) if family == socket.AF_INET else str(tmp_path / "statsd"))
        name = sock.getsockname()
        where = f"localhost:{name[1]}" if family == socket.AF_INET else f"unix:{name}"
        server = Server(sock)
        flags = ("--statsd", where.replace("localhost", "127.0.0.1"), "--statsd-prefix", "shop")
        with running(*flags, "--statsd-tags", "env:test", "--workers", "2", directory=tmp_path) as daemon:
            daemon.heard.expect("worker.ready", times=2)
            assert [daemon.get(path)[0] for path in ("/200", "/200", "/404", "/boom")] == [200, 200, 404, 500]
            server.hear_until("shop.gunicorn.requests", 4)
            with daemon.listening() as heard:
                os.kill(daemon.pids()[1], signal.SIGKILL)
                heard.expect("worker.ready")
            assert daemon.get("/200")[0] == 200
            daemon.signal(signal.SIGTERM)
            assert daemon.wait() == 0
        server.hear_until("shop.gunicorn.requests", 5)
    assert {name: count for name, count in server.found.items() if ".log." not in name} == {
        "shop.gunicorn.requests": 5,
        "shop.gunicorn.request.duration": 5,
        "shop.gunicorn.request.status.200": 3,
        "shop.gunicorn.request.status.404": 1,
        "shop.gunicorn.request.status.500": 1,
        "shop.gunicorn.workers": server.found["shop.gunicorn.workers"],
    }
    assert server.found["shop.gunicorn.log.exception"] == 1
    assert server.found["shop.gunicorn.log.error"] == 1  # worker.crashed


def test_a_server_that_is_not_there_is_told_once_and_stops_nothing(tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text(APP)
    with running("--statsd", f"unix:{tmp_path}/none", directory=tmp_path) as daemon:
        daemon.heard.expect("worker.ready")
        (failed,) = daemon.heard.expect("statsd.failed")
        assert (failed["address"], failed["error"]) == (f"unix:{tmp_path}/none", "No such file or directory")
        assert daemon.get("/200")[0] == 200
        daemon.signal(signal.SIGTERM)
        assert daemon.wait() == 0
        assert len([event for event in daemon.events if event["event"] == "statsd.failed"]) == 1


def test_a_name_that_is_not_known_is_told_and_stops_nothing(tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text(APP)
    with running("--statsd", "no-such-host.invalid:8125", directory=tmp_path) as daemon:
        daemon.heard.expect("statsd.failed", address="no-such-host.invalid:8125")
        daemon.heard.expect("worker.ready")


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (("--statsd", "fd://3"), "statsd: must be HOST:PORT or unix:PATH of a server, not 'fd://3' (flag --statsd)"),
        (("--statsd", "localhost"), "statsd: must be"),
        (("--statsd", "localhost:0"), "statsd: must be HOST:PORT or unix:PATH of a server, not 'localhost:0'"),
        (("--statsd-prefix", "a:b"), "statsd-prefix: must be letters, digits, '.', '_' or '-', not 'a:b'"),
        (("--statsd-tags", "a|b"), "statsd-tags: must be name:value, comma-separated"),
    ],
)
def test_what_is_no_server_prefix_or_tag_is_refused(tmp_path: Path, flags: tuple[str, ...], said: str) -> None:
    with running(*flags, directory=tmp_path) as daemon:
        assert daemon.wait() == 2
        assert f"supervisor-d: {said}" in daemon.transcript()
