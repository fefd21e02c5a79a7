"""A real daemon whose control socket's file is removed, as a cleaner of /run does, can still be controlled."""

from __future__ import annotations

import http.client
import signal
import socket
import sys
from pathlib import Path

import pytest

from tests.helpers.daemon import DEADLINE_S, PID_APP, running


def status(path: Path, asked: str) -> int:
    connection = http.client.HTTPConnection("control", timeout=DEADLINE_S)
    connection.sock = socket.socket(socket.AF_UNIX)
    connection.sock.settimeout(DEADLINE_S)
    try:
        connection.sock.connect(str(path))
        connection.request("GET", asked)
        return connection.getresponse().status
    finally:
        connection.close()


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells of it unasked (inotify)")
def test_the_files_of_the_control_socket_and_of_admin_bind_are_made_anew(tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text(PID_APP)
    control, admin = tmp_path / "control.sock", tmp_path / "admin.sock"
    flags = ("--control-socket", str(control), "--admin-bind", f"unix:{admin}")
    with running(*flags, directory=tmp_path) as daemon:
        daemon.heard.expect("worker.ready")
        for path, address, asked in ((control, str(control), "/v1/status"), (admin, f"unix:{admin}", "/healthz")):
            path.unlink()
            daemon.heard.expect("control.restored", address=address)
            (lost,) = [event for event in daemon.heard.named("control.lost") if event["address"] == address]
            assert "its file is gone" in str(lost["reason"])
            assert status(path, asked) == 200
        daemon.signal(signal.SIGTERM)
        assert daemon.wait() == 0
    assert not control.exists()
    assert not admin.exists()
