"""What the real daemon tells a service manager through its life."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.helpers.daemon import PID_APP, running
from tests.helpers.manager import Manager

GATED_APP = """
import asyncio
async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        await receive()
        loop = asyncio.get_running_loop()
        gate = await loop.run_in_executor(None, open, "gate")
        gate.close()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await send({"type": "lifespan.shutdown.complete"})
"""
"""Its start-up takes until somebody has opened the fifo `gate` for writing, and it serves nobody."""


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[Manager]:
    made = Manager.at(tmp_path)
    yield made
    made.close()


def test_ready_is_told_only_when_the_application_is(manager: Manager, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "gate")
    (tmp_path / "app.py").write_text(GATED_APP)
    with running("--lifespan", "on", directory=tmp_path, env=manager.environ()) as daemon:
        daemon.heard.expect("worker.spawned")
        assert daemon.ctl("status").returncode == 0
        assert "READY=1" not in manager.read()
        os.close(os.open(tmp_path / "gate", os.O_WRONLY))  # nothing is written: its reader is gone at once
        manager.expect("READY=1", "STATUS=serving: 1 of 1 workers ready, generation 1")


def test_a_reload_is_told_from_its_beginning_to_its_verdict(manager: Manager, tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text(PID_APP)
    with running("--workers", "2", directory=tmp_path, env=manager.environ()) as daemon:
        manager.expect("READY=1")
        before_usec = time.monotonic() * 1e6
        assert daemon.ctl("reload").returncode == 0
        told = manager.expect("RELOADING=1", "MONOTONIC_USEC=", "STATUS=reloading: rolling", "READY=1", "STATUS=")
        moment = next(line for line in told if line.startswith("MONOTONIC_USEC="))
        assert before_usec <= int(moment.partition("=")[2]) <= time.monotonic() * 1e6
        (tmp_path / "app.py").write_text("raise LookupError('no database')")
        assert daemon.ctl("reload").returncode == 1
        told = manager.expect("RELOADING=1", "READY=1", "STATUS=serving: 2 of 2 workers ready, generation 2")
        assert "generation 3 was rolled back: worker in slot" in told[-1]


def test_the_watchdog_is_fed_and_a_stop_is_told(manager: Manager, tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text(PID_APP)
    with running(directory=tmp_path, env=manager.environ(WATCHDOG_USEC="200000")) as daemon:
        manager.expect("READY=1", "WATCHDOG=1", "WATCHDOG=1")
        daemon.signal(signal.SIGTERM)
        assert daemon.wait() == 0
        manager.expect("STOPPING=1", "STATUS=stopping: 0 workers")


def test_why_a_start_failed_is_told_before_the_end(manager: Manager, tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text("raise LookupError('no database')")
    with running(directory=tmp_path, env=manager.environ()) as daemon:
        manager.expect("STOPPING=1", "STATUS=the application could not boot: LookupError: no database", "BARRIER=1")
        assert daemon.wait() == 3
        assert "READY=1" not in manager.lines


def test_workers_are_told_nothing_of_the_manager(manager: Manager, tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text(
        PID_APP + "\nassert not {'NOTIFY_SOCKET', 'WATCHDOG_USEC', 'LISTEN_FDS'} & set(os.environ)\n"
    )
    with running(directory=tmp_path, env=manager.environ(WATCHDOG_USEC="9999999")):
        manager.expect("READY=1")


def test_a_ready_descriptor_gets_one_newline_when_the_application_is_ready(tmp_path: Path) -> None:
    """s6's way. The end of the pipe comes while the workers live: nobody else has the descriptor."""
    os.mkfifo(tmp_path / "gate")
    (tmp_path / "app.py").write_text(GATED_APP)
    reading, writing = os.pipe()
    flags = ("--ready-fd", str(writing), "--lifespan", "on")
    with open(reading, "rb") as told, running(*flags, directory=tmp_path, pass_fds=(writing,)) as daemon:
        os.close(writing)
        os.set_blocking(reading, False)
        daemon.heard.expect("worker.spawned")
        assert daemon.ctl("status").returncode == 0
        assert told.read() is None, "not ready yet"
        os.close(os.open(tmp_path / "gate", os.O_WRONLY))
        os.set_blocking(reading, True)
        assert told.read() == b"\n"
        assert daemon.ctl("status").returncode == 0


def test_a_ready_descriptor_closes_without_a_newline_if_the_application_cannot_boot(tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text("raise LookupError('no database')")
    reading, writing = os.pipe()
    flags = ("--ready-fd", str(writing))
    with open(reading, "rb") as told, running(*flags, directory=tmp_path, pass_fds=(writing,)) as daemon:
        os.close(writing)
        assert told.read() == b""
        assert daemon.wait() == 3


def test_a_ready_descriptor_that_is_not_open_is_refused(tmp_path: Path) -> None:
    """4 is a file of our own by then, and one that can be written to."""
    (tmp_path / "app.py").write_text(PID_APP)
    with running("--ready-fd", "4", directory=tmp_path) as daemon:
        assert daemon.wait() == 2
        assert daemon.lines[-1].endswith("descriptor 4 is a file of our own (from flag --ready-fd)")


def test_each_line_has_its_priority_where_standard_error_is_the_journal(tmp_path: Path) -> None:
    """As sd-daemon(3) has it: of the master and of the worker, where JOURNAL_STREAM names this very file."""
    (tmp_path / "app.py").write_text("raise LookupError('no database')")
    shell = 'JOURNAL_STREAM="$(stat -L -c %d:%i /proc/self/fd/2)" exec "$@"'
    with running("--log-level", "debug", directory=tmp_path, command=("sh", "-c", shell, "sh")) as daemon:
        assert daemon.wait() == 3
        assert [line for line in daemon.lines if line[:3] not in ("<7>", "<6>", "<4>", "<3>")] == []
        (failed,) = (line for line in daemon.lines if "application.failed" in line)
        assert failed.startswith("<3>{")
    with running(directory=tmp_path, env={"JOURNAL_STREAM": "1:2"}) as daemon:
        assert daemon.wait() == 3
        assert not any(line.startswith("<") for line in daemon.lines), "standard error was redirected"
