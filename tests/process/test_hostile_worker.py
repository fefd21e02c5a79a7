"""What a worker's own code can do to the daemon and to its siblings, and what comes of it."""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.helpers.daemon import DEADLINE_S, Daemon, running
from tests.hostile.application import APP, HUGE, NAN


@pytest.fixture(params=["--template", "--preload", "--no-template"])
def daemon(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Daemon]:
    (tmp_path / "app.py").write_text(APP)
    with running("--workers", "2", request.param, directory=tmp_path) as started:
        started.heard.expect("worker.ready", times=2)
        yield started


@pytest.mark.parametrize("garbage", ["ff", "7f", NAN, HUGE])
def test_a_worker_that_writes_garbage_into_its_record_is_replaced_and_harms_nothing(
    daemon: Daemon, garbage: str
) -> None:
    with daemon.listening() as heard:
        assert daemon.get(f"/record/{garbage}")[0] == 200  # again and again: its own beat would write over it
        assert daemon.ctl("status").returncode == 0  # looks at every record
        (refused,) = heard.expect("worker.record_refused")
        heard.expect("worker.recycled", slot=refused["slot"])
        heard.expect("worker.exited", slot=refused["slot"])
    assert daemon.ctl("incidents").returncode == 0
    assert daemon.process.poll() is None
    assert daemon.status()["workers"] == {"target": 2, "ready": 2}
    assert daemon.get()[0] == 200


def test_no_worker_can_cut_off_what_it_shares_with_others_or_hold_what_is_theirs(daemon: Daemon) -> None:
    before = daemon.pids()
    assert daemon.get("/cut")[1] == "EPERM EPERM EPERM EPERM"
    assert daemon.get("/held")[1] == "1"
    assert daemon.get()[0] == 200
    assert daemon.pids() == before


def test_no_worker_can_keep_the_daemon_from_writing_to_what_they_share(tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text(APP)
    with running("--workers", "2", directory=tmp_path) as daemon:
        daemon.heard.expect("worker.ready", times=2)
        assert daemon.get("/append")[0] == 200
        with daemon.listening() as heard:
            assert daemon.ctl("reload").returncode == 0
            heard.expect("worker.exited", times=2)
        assert daemon.status()["workers"] == {"target": 2, "ready": 2}
        daemon.signal(signal.SIGTERM)
        assert daemon.wait() == 0
        assert not [event for event in daemon.events if event["event"] == "master.faulted"]


@pytest.mark.parametrize("garbage", ["ff", "00", NAN, HUGE, "01"])
def test_garbage_in_the_table_of_loads_loses_no_request(daemon: Daemon, garbage: str) -> None:
    before = daemon.pids()
    for _ in range(40):
        assert daemon.get(f"/loads/{garbage}")[0] == 200
    assert daemon.pids() == before


def test_a_worker_that_floods_the_master_with_messages_is_cut_off_and_replaced(daemon: Daemon) -> None:
    with daemon.listening() as heard:
        daemon.get_or_nothing("/flood")
        (gone,) = heard.expect("worker.detached")
        assert "more than 64 messages in 1 s" in str(gone["reason"])
        heard.expect("worker.crashed")  # until then it takes connections, which end with it
        heard.expect("worker.ready")
    assert daemon.get()[0] == 200
    assert daemon.status()["workers"] == {"target": 2, "ready": 2}


def test_a_worker_that_shuts_the_listener_down_does_not_deafen_the_service(daemon: Daemon) -> None:
    for _ in range(3):
        with daemon.listening() as heard:
            daemon.get_or_nothing("/deafen")
            heard.expect("socket.lost")
            heard.expect("socket.restored")
        for _ in range(10):
            assert daemon.get()[0] == 200
    assert daemon.status()["state"] == "serving"
    daemon.signal(signal.SIGTERM)
    assert daemon.wait() == 0


ALTERED = {
    "backlog": "backlog",
    "drop": "SO_ATTACH_FILTER",
    "1/13/0100000000000000": "SO_LINGER",
    "6/9/3c000000": "TCP_DEFER_ACCEPT",
}


def test_what_a_worker_changes_on_the_shared_listener_is_set_right(tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text(APP)
    with running("--workers", "2", directory=tmp_path) as daemon:
        daemon.heard.expect("worker.ready", times=2)
        before = daemon.pids()
        for how, name in ALTERED.items():
            with daemon.listening() as heard:
                daemon.get_or_nothing(f"/alter/{how}")
                heard.expect("socket.altered", options=[name])
            for _ in range(10):
                assert daemon.get()[0] == 200
        # Not waited for what is said of this one: uv_poll_init(), with which uvloop watches a listener again after it
        # has left a connection to the other worker, sets O_NONBLOCK as well, and then there is nothing to say.
        daemon.get_or_nothing("/alter/block")
        for _ in range(10):
            assert daemon.get()[0] == 200
        assert daemon.pids() == before


@pytest.mark.parametrize(("name", "how"), [("SO_RCVLOWAT", "1/18/00001000"), ("SO_LINGER", "1/13/0100000000000000")])
def test_a_connection_that_inherited_what_a_worker_set_for_a_moment_is_set_right(
    tmp_path: Path, name: str, how: str
) -> None:
    (tmp_path / "app.py").write_text(APP)
    with running("--workers", "1", directory=tmp_path) as daemon:
        daemon.heard.expect("worker.ready")
        with daemon.listening() as heard:
            assert daemon.get(f"/inherit/{how}")[0] == 200
            heard.expect("socket.altered", address="accepted connections", options=[name])
        assert daemon.get("/inheritor") == (200, "HTTP/1.1 200 OK")


def get_by_unix(path: Path | str, target: str) -> bytes:
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(DEADLINE_S)
        client.connect(str(path))
        client.sendall(f"GET {target} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n".encode())
        answer = b""
        while data := client.recv(65536):
            answer += data
        return answer


@pytest.mark.parametrize("how", ["--template", "--preload"])
def test_a_unix_listener_that_is_bound_anew_is_served_though_the_reload_fails(tmp_path: Path, how: str) -> None:
    (tmp_path / "app.py").write_text(APP)
    path = tmp_path / "app.sock"
    with running("--workers", "2", how, bind=f"unix:{path}", directory=tmp_path) as daemon:
        daemon.heard.expect("worker.ready", times=2)
        (tmp_path / "app.py").write_text("1 / 0\n")
        with daemon.listening() as heard:
            path.unlink()
            heard.expect("socket.restored")
            heard.expect("reload.rolled_back")
        for _ in range(5):
            assert get_by_unix(path, "/").startswith(b"HTTP/1.1 200 ")
        (tmp_path / "app.py").write_text(APP)
        with daemon.listening() as heard:
            for pid in daemon.pids().values():
                os.kill(pid, signal.SIGKILL)
            heard.expect("worker.ready", times=2)
        for _ in range(5):
            assert get_by_unix(path, "/").startswith(b"HTTP/1.1 200 ")
        assert not [event for event in daemon.events if event["event"] == "worker.detached"]


@pytest.mark.parametrize("how", ["/deafen", "unlink"])
def test_a_unix_listener_that_is_lost_is_bound_anew_and_handed_to_new_workers(tmp_path: Path, how: str) -> None:
    (tmp_path / "app.py").write_text(APP)
    path = tmp_path / "app.sock"
    with running("--workers", "2", bind=f"unix:{path}", directory=tmp_path) as daemon:
        daemon.heard.expect("worker.ready", times=2)
        with daemon.listening() as heard:
            if how == "unlink":
                path.unlink()
            else:
                get_by_unix(path, how)
            heard.expect("socket.lost")
            heard.expect("socket.restored")
            heard.expect("reload.committed")
        assert get_by_unix(path, "/").startswith(b"HTTP/1.1 200 ")
        daemon.signal(signal.SIGTERM)
        assert daemon.wait() == 0
        assert not path.exists()


@pytest.mark.parametrize("how", ["--template", "--preload", "--no-template"])
def test_an_abstract_listener_that_is_shut_down_is_bound_anew_though_the_reload_fails(tmp_path: Path, how: str) -> None:
    (tmp_path / "app.py").write_text(APP)
    name = f"supervisor-d-test-{os.getpid()}-{tmp_path.name}"
    with running("--workers", "2", how, bind=f"unix:@{name}", directory=tmp_path) as daemon:
        daemon.heard.expect("worker.ready", times=2)
        (tmp_path / "app.py").write_text("1 / 0\n")
        for _ in range(2):
            with daemon.listening() as heard:
                get_by_unix(f"\0{name}", "/deafen")
                heard.expect("socket.lost")
                heard.expect("socket.restored")
                heard.expect("reload.rolled_back")
            for _ in range(5):
                assert get_by_unix(f"\0{name}", "/").startswith(b"HTTP/1.1 200 ")
        (tmp_path / "app.py").write_text(APP)
        with daemon.listening() as heard:
            for pid in daemon.pids().values():
                os.kill(pid, signal.SIGKILL)
            heard.expect("worker.ready", times=2)
        for _ in range(5):
            assert get_by_unix(f"\0{name}", "/").startswith(b"HTTP/1.1 200 ")
        daemon.signal(signal.SIGTERM)
        assert daemon.wait() == 0
