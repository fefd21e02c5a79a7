"""Connections that come at once are shared by the workers; one that hangs does not keep the others from accepting."""

from __future__ import annotations

import os
import signal
from collections import Counter
from contextlib import ExitStack
from http.client import HTTPConnection
from pathlib import Path

import pytest

from tests.helpers.daemon import DEADLINE_S, PID_APP, Daemon, running


def shares(daemon: Daemon, number: int, kept: ExitStack) -> Counter[int]:
    """How many of so many connections that come at once each worker has got; they stay open until `kept` is closed."""
    connections = [HTTPConnection(*daemon.address(), timeout=DEADLINE_S) for _ in range(number)]
    for connection in connections:
        kept.callback(connection.close)
        connection.connect()
    for connection in connections:
        connection.request("GET", "/")
    return Counter(int(connection.getresponse().read().split()[0]) for connection in connections)


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    (tmp_path / "app.py").write_text(PID_APP)
    return tmp_path


@pytest.mark.parametrize("loop", ["uvloop", "asyncio"])
def test_every_worker_gets_some_of_the_connections_that_come_at_once(directory: Path, loop: str) -> None:
    """How even the shares are depends on the machine's load: `python -m tests.bench.fairness` measures it.

    A busy machine may not run one of them at all while the others accept. It holds fewer connections then, and the
    others leave it the next ones.
    """
    got: Counter[int] = Counter()
    with running("--workers", "4", "--loop", loop, directory=directory) as daemon, ExitStack() as kept:
        daemon.heard.expect("worker.ready", times=4)
        for number in (128, 32, 32, 32):
            got += shares(daemon, number, kept)
            if got.keys() >= set(daemon.pids().values()):
                break
        assert set(got) == set(daemon.pids().values()), got


def test_a_stopped_worker_with_few_connections_does_not_keep_the_others_from_accepting(directory: Path) -> None:
    with running("--workers", "2", "--timeout", "60", directory=directory) as daemon:
        daemon.heard.expect("worker.ready", times=2)
        stopped, other = daemon.pids().values()
        os.kill(stopped, signal.SIGSTOP)
        try:
            with ExitStack() as kept:
                assert shares(daemon, 64, kept) == {other: 64}
        finally:
            os.kill(stopped, signal.SIGCONT)
