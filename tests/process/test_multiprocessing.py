"""An application's pool of processes works in a worker by each start method, and ends with the worker.

The default method on Linux is fork up to CPython 3.13 and forkserver from 3.14 on.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest

from tests.helpers.daemon import running

WITH_POOL = """
import asyncio, multiprocessing, os
from concurrent.futures import ProcessPoolExecutor

async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        await receive()
        with ProcessPoolExecutor(1, multiprocessing.get_context(METHOD)) as pool:
            scope["state"]["pool"] = pool
            await send({"type": "lifespan.startup.complete"})
            await receive()
        await send({"type": "lifespan.shutdown.complete"})
    elif scope["type"] == "http":
        pid = await asyncio.get_running_loop().run_in_executor(scope["state"]["pool"], os.getpid)
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": f"{pid}".encode()})
"""


@pytest.mark.parametrize("workers", ["1", "2"], ids=["started by itself", "forked from a template"])
@pytest.mark.parametrize("method", [None, "spawn", "forkserver"])
def test_a_pool_answers_and_ends_with_the_worker(method: str | None, workers: str, tmp_path: Path) -> None:
    assert method is None or method in multiprocessing.get_all_start_methods()
    (tmp_path / "app.py").write_text(WITH_POOL.replace("METHOD", repr(method)))
    with running("--workers", workers, directory=tmp_path) as daemon:
        daemon.heard.expect("worker.ready", times=int(workers))
        status, body = daemon.get("/")
        assert status == 200, daemon.transcript()
        assert int(body) not in daemon.pids().values()
        family = psutil.Process(daemon.pid).children(recursive=True)
        assert int(body) in {process.pid for process in family}
        daemon.signal(signal.SIGTERM)
        assert daemon.wait() == 0
        assert psutil.wait_procs(family, timeout=30)[1] == []


AT_WORK = """
import asyncio, multiprocessing, os
from concurrent.futures import ProcessPoolExecutor

pool = ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn"), initializer=INITIALIZER)

def work():
    with open("gate") as gate:
        return gate.read()

async def app(scope, receive, send):
    if scope["type"] != "http":
        raise RuntimeError
    try:
        done = await asyncio.get_running_loop().run_in_executor(pool, work)
    except Exception as error:
        done = type(error).__name__
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": done.encode()})
"""


@pytest.mark.parametrize(("initializer", "answer"), [("os.setpgrp", "done"), (None, "BrokenProcessPool")])
def test_a_pool_finishes_at_a_signal_to_the_group_with_a_group_of_its_own(
    initializer: str | None, answer: str, tmp_path: Path
) -> None:
    """contrib/docs/FORKING.md says both: what becomes of processes in the daemon's group, and how they are spared."""
    (tmp_path / "app.py").write_text(AT_WORK.replace("INITIALIZER", str(initializer)))
    os.mkfifo(tmp_path / "gate")
    with running(directory=tmp_path) as daemon, ThreadPoolExecutor(1) as client:
        daemon.heard.expect("worker.ready")
        answered = client.submit(daemon.get, "/")
        with (tmp_path / "gate").open("w") as gate:  # opened once the pool's process has it open, too
            os.killpg(daemon.pid, signal.SIGTERM)
            daemon.heard.expect("worker.draining")
            if initializer is not None:
                gate.write("done")
        assert answered.result(30) == (200, answer), daemon.transcript()
        assert daemon.wait() == 0
