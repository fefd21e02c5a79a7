"""The daemon behind the front ends that we have recipes for, over TCP and Unix sockets, while it reloads under load."""

from __future__ import annotations

import http.client
import threading
from pathlib import Path

import pytest
from websockets.sync.client import connect

from tests.helpers.daemon import DEADLINE_S, running
from tests.helpers.fronts import fronted

APP = """
async def app(scope, receive, send):
    if scope["type"] == "http":
        found = dict(scope["headers"])
        body = b"|".join([found.get(b"x-request-id", b"-"), found.get(b"host", b"-"), scope["client"][0].encode()])
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": body})
    elif scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.accept"})
        await send({"type": "websocket.send", "text": (await receive())["text"]})
"""


CLIENT = "127.0.0.2"
"""Where the clients are: not among the peers that are believed."""


class Asker(threading.Thread):
    """Asks on one kept-alive connection until it is told to stop."""

    def __init__(self, port: int) -> None:
        super().__init__()
        self.port = port
        self.told: list[tuple[int, str]] = []
        self.stop = threading.Event()

    def run(self) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=DEADLINE_S, source_address=(CLIENT, 0))
        try:
            while not self.stop.is_set():
                connection.request("GET", "/", headers={"Host": "shop.example", "X-Forwarded-For": "192.0.2.1"})
                response = connection.getresponse()
                self.told.append((response.status, response.read().decode()))
        finally:
            connection.close()


@pytest.mark.parametrize(
    ("front", "upstream"),
    [("nginx", "tcp"), ("nginx", "unix"), ("haproxy", "unix"), ("caddy", "tcp")],
)
def test_no_request_behind_it_is_lost_to_reloads(front: str, upstream: str, tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text(APP)
    bind = f"unix:{tmp_path}/app.sock" if upstream == "unix" else "127.0.0.1:0"
    flags = ("--workers", "2", "--forwarded-allow-ips", "127.0.0.1,unix")
    with running(*flags, directory=tmp_path, bind=bind) as daemon:
        daemon.heard.expect("worker.ready", times=2)
        place = bind if upstream == "unix" else "{}:{}".format(*daemon.address())
        with fronted(front, tmp_path, place) as started:
            asking = [Asker(started.port) for _ in range(4)]
            for asker in asking:
                asker.start()
            reload = daemon.ctl("reload")
            with connect(f"ws://127.0.0.1:{started.port}/", open_timeout=DEADLINE_S) as websocket:
                websocket.send("through")
                assert websocket.recv(DEADLINE_S) == "through"
            for asker in asking:
                asker.stop.set()
                asker.join(DEADLINE_S)
        told = [answer for asker in asking for answer in asker.told]
        assert reload.returncode == 0, reload.stderr
        assert len(told) > 8
        assert {status for status, _ in told} == {200}
        ids, hosts, clients = zip(*(body.split("|") for _, body in told), strict=True)
        assert len(set(ids)) == len(told), "every request has an id of its own"
        assert set(hosts) == {"shop.example"}
        assert set(clients) == {CLIENT}, "the peer as the front end saw it, not as the client says"
    assert started.complaints() == []
