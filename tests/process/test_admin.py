"""What the real daemon answers to probes and scrapes at admin-bind."""

from __future__ import annotations

import http.client
import signal
import socket
from pathlib import Path

import pytest

from tests.helpers.daemon import DEADLINE_S, PID_APP, Daemon, running


def ask(daemon: Daemon, path: str, method: str = "GET", host: str = "") -> tuple[int, str]:
    (opened,) = daemon.heard.expect("admin.opened")
    place = str(opened["address"])
    connection = http.client.HTTPConnection("admin", timeout=DEADLINE_S)
    if place.startswith("unix:"):
        connection.sock = socket.socket(socket.AF_UNIX)
        connection.sock.connect(place.removeprefix("unix:"))
    else:
        bound, _, port = place.rpartition(":")
        connection.sock = socket.create_connection((bound, int(port)), timeout=DEADLINE_S)
    try:
        connection.request(method, path, headers={"Host": host or place})
        response = connection.getresponse()
        return response.status, response.read().decode()
    finally:
        connection.close()


@pytest.mark.parametrize("kind", ["tcp", "unix"])
def test_probes_and_scrapes_are_answered_and_nothing_else_is(tmp_path: Path, kind: str) -> None:
    place = f"unix:{tmp_path}/admin.sock" if kind == "unix" else "127.0.0.1:0"
    (tmp_path / "app.py").write_text(PID_APP)
    with running("--admin-bind", place, directory=tmp_path) as daemon:
        daemon.heard.expect("worker.ready")
        assert ask(daemon, "/healthz")[0] == 200
        assert ask(daemon, "/readyz")[0] == 200
        status, figures = ask(daemon, "/metrics")
        assert status == 200
        assert "\nsupervisor_d_ready_workers 1\n" in figures
        assert ask(daemon, "/v1/status")[0] == 404
        assert ask(daemon, "/v1/stop", "POST")[0] == 404
        assert ask(daemon, "/healthz", "POST")[0] == 405
        daemon.signal(signal.SIGTERM)
        assert daemon.wait() == 0
        assert not (tmp_path / "admin.sock").exists()


def test_a_daemon_that_stops_is_healthy_but_not_ready_while_it_still_serves(tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text(PID_APP)
    with running("--admin-bind", "127.0.0.1:0", "--shutdown-delay", "60", directory=tmp_path) as daemon:
        daemon.heard.expect("worker.ready")
        daemon.signal(signal.SIGTERM)
        daemon.heard.expect("stop.requested")
        assert ask(daemon, "/healthz")[0] == 200
        status, told = ask(daemon, "/readyz")
        assert status == 503
        assert '"state": "draining"' in told
        assert daemon.get()[0] == 200, "requests are served for as long as a load balancer may still send them"


def test_a_daemon_without_a_ready_worker_is_healthy_but_not_ready(tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text("while True: pass\n")
    with running("--admin-bind", "127.0.0.1:0", directory=tmp_path) as daemon:
        daemon.heard.expect("worker.spawned")
        assert ask(daemon, "/healthz")[0] == 200
        assert ask(daemon, "/readyz")[0] == 503


def test_it_is_off_unless_asked_for_and_a_busy_place_is_refused(tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text(PID_APP)
    with running(directory=tmp_path) as daemon:
        daemon.heard.expect("worker.ready")
        assert "admin.opened" not in daemon.heard.names()
    with socket.create_server(("127.0.0.1", 0)) as taken:
        place = "{}:{}".format(*taken.getsockname())
        with running("--admin-bind", place, directory=tmp_path) as daemon:
            assert daemon.wait() == 4
            assert (
                f"{place}: already in use; stop what listens there, or choose another (bind, from flag --admin-bind)"
                in daemon.transcript()
            )


def test_the_address_of_requests_is_not_the_one_of_probes_too(tmp_path: Path) -> None:
    with running("--admin-bind", "127.0.0.1:8000", directory=tmp_path, bind="127.0.0.1:8000") as daemon:
        assert daemon.wait() == 2
        assert "must name each address once, not 127.0.0.1:8000 again" in daemon.transcript()


def test_silent_clients_cannot_take_the_descriptors_that_the_master_needs(tmp_path: Path) -> None:
    """With 64 descriptors, sixty of them ended the master at its next status: EMFILE in a look at /proc."""
    (tmp_path / "app.py").write_text(PID_APP)
    limited = ("sh", "-c", 'ulimit -n 64 && exec "$@"', "sh")
    with running("--workers", "2", "--admin-bind", "127.0.0.1:0", directory=tmp_path, command=limited) as daemon:
        daemon.heard.expect("worker.ready", times=2)
        (opened,) = daemon.heard.expect("admin.opened")
        host, _, port = str(opened["address"]).rpartition(":")
        silent = [socket.create_connection((host, int(port)), timeout=DEADLINE_S) for _ in range(60)]
        assert daemon.status()["state"] == "serving"
        with daemon.listening() as heard:
            daemon.signal(signal.SIGTTIN)
            heard.expect("worker.ready")
        assert ask(daemon, "/readyz")[0] == 200
        assert not daemon.heard.named("master.faulted")
        for sock in silent:
            sock.close()
        daemon.signal(signal.SIGTERM)
        assert daemon.wait() == 0


def test_a_name_in_host_that_is_no_address_of_it_is_refused_unless_it_is_listed(tmp_path: Path) -> None:
    """DNS rebinding: a page of another site asks under its own name, and may read what is answered."""
    (tmp_path / "app.py").write_text(PID_APP)
    with running("--admin-bind", "127.0.0.1:0", "--admin-hosts", "Metrics.example, web", directory=tmp_path) as daemon:
        daemon.heard.expect("worker.ready")
        for host in (
            "127.0.0.1",
            "127.0.0.1:1",
            "localhost:9000",
            "metrics.example",
            "METRICS.example.:80",
            "web:9000",
        ):
            assert ask(daemon, "/metrics", host=host)[0] == 200, host
        for host in (
            "evil.example",
            "evil.example:9000",
            "127.0.0.1.evil.example",
            "10.0.0.1",
            "[::1]",
            "web.evil.example",
        ):
            status, told = ask(daemon, "/metrics", host=host)
            assert status == 421, host
            assert "supervisor_d_" not in told
            assert "admin-hosts" in told
        daemon.heard.expect("control.refused", status=421)
    with running("--admin-bind", "0.0.0.0:0", directory=tmp_path) as daemon:
        daemon.heard.expect("worker.ready")
        for host in ("10.0.0.1:9000", "[2001:db8::1]:9000", "localhost"):
            assert ask(daemon, "/healthz", host=host)[0] == 200, host
        assert ask(daemon, "/healthz", host="evil.example")[0] == 421
