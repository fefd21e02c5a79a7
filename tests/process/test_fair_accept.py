"""Connections that come at once are shared by the workers; one that hangs does not keep the others from accepting."""

from __future__ import annotations

import os
import signal
from collections import Counter
from http.client import HTTPConnection
from pathlib import Path

import pytest

from tests.helpers.daemon import DEADLINE_S, PID_APP, Daemon, running


def shares(daemon: Daemon, number: int) -> Counter[int]:
    """How many of so many connections each worker has got; they are open all at once."""
    connections = [HTTPConnection(*daemon.address(), timeout=DEADLINE_S) for _ in range(number)]
    try:
        for connection in connections:
            connection.connect()
        for connection in connections:
            connection.request("GET", "/")
        return Counter(int(connection.getresponse().read().split()[0]) for connection in connections)
    finally:
        for connection in connections:
            connection.close()


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    (tmp_path / "app.py").write_text(PID_APP)
    return tmp_path


@pytest.mark.parametrize("loop", ["uvloop", "asyncio"])
def test_every_worker_gets_some_of_the_connections_that_come_at_once(directory: Path, loop: str) -> None:
    """How even the shares are depends on the machine's load: `python -m tests.bench.fairness` measures it."""
    with running("--workers", "4", "--loop", loop, directory=directory) as daemon:
        daemon.heard.expect("worker.ready", times=4)
        assert set(shares(daemon, 128)) == set(daemon.pids().values())


def test_a_stopped_worker_with_few_connections_does_not_keep_the_others_from_accepting(directory: Path) -> None:
    with running("--workers", "2", "--timeout", "60", directory=directory) as daemon:
        daemon.heard.expect("worker.ready", times=2)
        stopped, other = daemon.pids().values()
        os.kill(stopped, signal.SIGSTOP)
        try:
            assert shares(daemon, 64) == {other: 64}
        finally:
            os.kill(stopped, signal.SIGCONT)
