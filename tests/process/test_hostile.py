"""Bad input of every kind gets a clear error, and disturbs nothing else."""

from __future__ import annotations

import os
import random
import signal
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.helpers.daemon import DEADLINE_S, PID_APP, Daemon, running


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[Daemon]:
    (tmp_path / "app.py").write_text(PID_APP)
    with running("--workers", "2", directory=tmp_path) as started:
        started.heard.expect("worker.ready", times=2)
        yield started


def garbage(seed: int) -> bytes:
    """Bytes that are no request, though some begin like one."""
    source = random.Random(seed)
    kinds = (
        lambda: source.randbytes(source.randint(1, 2000)),
        lambda: b"GET / HTTP/1.1\r\n" + source.randbytes(100) + b"\r\n\r\n",
        lambda: b"GET " + source.randbytes(20).replace(b"\n", b"") + b" HTTP/1.1\r\nHost: a\r\n\r\n",
        lambda: b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        lambda: b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + source.randbytes(300),
    )
    return source.choice(kinds)()


def test_a_thousand_garbage_requests_disturb_nobody(daemon: Daemon) -> None:
    before = daemon.pids()
    for seed in range(1000):
        with socket.create_connection(daemon.address(), timeout=DEADLINE_S) as sock:
            try:
                sock.sendall(garbage(seed))
                sock.shutdown(socket.SHUT_WR)
                answer = sock.recv(65536)
            except ConnectionError:  # refused before all of it was read
                continue
            assert not answer or answer.startswith((b"HTTP/1.1 4", b"HTTP/1.1 5")), (seed, answer)
    assert daemon.get()[0] == 200
    assert daemon.pids() == before
    assert not daemon.heard.named("request.failed")


@pytest.mark.parametrize(
    ("request_bytes", "answer"),
    [
        pytest.param(
            b"POST /v1/scale HTTP/1.1\r\nHost: x\r\nContent-Length: 1048576\r\n\r\n", b" 413 ", id="1 MB body"
        ),
        pytest.param(b"GET /" + b"a" * 1048576, b" 4", id="1 MB line"),
        pytest.param(b"GET /v1/status HTTP/1.1\r\nHost: x\r\n", b" 408 ", id="never ends"),
    ],
)
def test_a_control_request_that_is_too_long_or_endless_is_refused_while_others_are_answered(
    daemon: Daemon, request_bytes: bytes, answer: bytes
) -> None:
    with socket.socket(socket.AF_UNIX) as sock:
        sock.settimeout(DEADLINE_S)
        sock.connect("\0" + daemon.control[1:])
        try:
            sock.sendall(request_bytes)
        except (BrokenPipeError, ConnectionResetError):  # refused before all of it was sent: the answer is there
            pass
        assert daemon.status()["state"] == "serving"
        assert answer in sock.recv(65536)
    assert daemon.get()[0] == 200


def test_killing_one_worker_again_and_again_leaves_the_other_alone(daemon: Daemon) -> None:
    spared = daemon.pids()[2]
    for _ in range(4):
        with daemon.listening() as heard:
            os.kill(daemon.pids()[1], signal.SIGKILL)
            crashed = heard.expect("worker.crashed", slot=1)[0]
            assert crashed["signal"] == "SIGKILL"
            assert "memory" not in str(crashed["reason"])
            heard.expect("worker.ready", slot=1)
    assert daemon.pids()[2] == spared
    assert daemon.get()[0] == 200


def test_code_that_breaks_after_the_start_costs_only_the_slots_that_need_it(tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text(PID_APP)
    with running("--workers", "2", directory=tmp_path) as daemon:
        daemon.heard.expect("worker.ready", times=2)
        (tmp_path / "app.py").write_text("import no_such_module_anywhere\n")
        with daemon.listening() as heard:
            os.kill(daemon.pids()[1], signal.SIGKILL)
            heard.expect("worker.boot_failed", times=3)
            heard.expect("fleet.degraded")
            status = daemon.status()
            assert status["state"] == "degraded"
            assert "no_such_module_anywhere" in str(status["reason"])
            assert daemon.get()[0] == 200
            (tmp_path / "app.py").write_text(PID_APP)
            heard.expect("worker.ready", slot=1)
        assert daemon.status()["state"] == "serving"


def test_daemons_are_told_apart_by_name(tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text(PID_APP)
    with (
        running("--name", "first", directory=tmp_path) as first,
        running("--name", "second", directory=tmp_path) as second,
    ):
        first.heard.expect("worker.ready")
        second.heard.expect("worker.ready")
        assert first.status()["name"] == "first"
        assert second.status()["name"] == "second"
