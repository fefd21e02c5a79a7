"""What a worker's own code can do to the daemon and to its siblings, and what comes of it."""

from __future__ import annotations

import signal
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.helpers.daemon import DEADLINE_S, Daemon, running

APP = """
import contextlib, errno, os, socket

def descriptors(name):
    # One of each file: a map has a descriptor of its own.
    found = {}
    for entry in os.listdir("/proc/self/fd"):
        try:
            if os.readlink(f"/proc/self/fd/{entry}").startswith(f"/memfd:{name}"):
                found[os.fstat(int(entry)).st_ino] = int(entry)
        except OSError:
            pass
    return list(found.values())

def scribble(name, garbage):
    for fd in descriptors(name):
        size = os.fstat(fd).st_size
        os.pwrite(fd, (garbage * (size // len(garbage) + 1))[:size], 0)

def cut(name):
    told = []
    for fd in descriptors(name):
        for size in (0, 1 << 24):
            try:
                os.ftruncate(fd, size)
                told.append("cut")
            except OSError as error:
                told.append(errno.errorcode[error.errno])
    return " ".join(told)

async def app(scope, receive, send):
    if scope["type"] != "http":
        return
    _, command, *arguments = scope["path"].split("/")
    body = str(os.getpid())
    if command == "record":
        scribble("worker-", bytes.fromhex(arguments[0]))
    elif command == "loads":
        scribble("loads", bytes.fromhex(arguments[0]))
    elif command == "cut":
        body = cut("worker-") + " " + cut("loads")
    elif command == "flood":
        for fd in map(int, os.listdir("/proc/self/fd")):
            try:
                pipe = socket.socket(fileno=os.dup(fd))
            except OSError:
                continue
            if pipe.family == socket.AF_UNIX and pipe.type == socket.SOCK_SEQPACKET:
                with contextlib.suppress(OSError):
                    pipe.send(b'recycle {"reason":"x"}\\n' * 5000, socket.MSG_DONTWAIT)
    elif command == "deafen":
        for fd in map(int, os.listdir("/proc/self/fd")):
            try:
                listener = socket.socket(fileno=os.dup(fd))
            except OSError:
                continue
            if listener.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
                listener.shutdown(socket.SHUT_RDWR)
    elif command == "held":
        body = str(len(descriptors("worker-")))
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": body.encode()})
"""

NAN = "000000000000f87f"
HUGE = "a0c8eb85f3cce17f"  # 1e308, little-endian


@pytest.fixture(params=["--template", "--preload", "--no-template"])
def daemon(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Daemon]:
    (tmp_path / "app.py").write_text(APP)
    with running("--workers", "2", request.param, "--timeout", "3", directory=tmp_path) as started:
        started.heard.expect("worker.ready", times=2)
        yield started


@pytest.mark.parametrize("garbage", ["ff", "7f", NAN, HUGE])
def test_a_worker_that_writes_garbage_into_its_record_is_replaced_and_harms_nothing(
    daemon: Daemon, garbage: str
) -> None:
    with daemon.listening() as heard:
        assert daemon.get(f"/record/{garbage}")[0] == 200
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


def get_by_unix(path: Path, target: str) -> bytes:
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(DEADLINE_S)
        client.connect(str(path))
        client.sendall(f"GET {target} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n".encode())
        answer = b""
        while data := client.recv(65536):
            answer += data
        return answer


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
