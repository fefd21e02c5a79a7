"""What a running master has in memory: everything it will ever need, and nothing that only others do."""

from __future__ import annotations

import signal
import sys
from pathlib import Path

import pytest

from tests.helpers.certificates import authority
from tests.helpers.daemon import PID_APP, running

HOOKED = r"""
import runpy, sys
written = open(sys.argv[1], "a", buffering=1)
sys.addaudithook(lambda event, arguments: written.write(arguments[0] + "\n") if event == "import" else None)
del sys.argv[:4]  # this program, its file, the interpreter and -m
runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
"""
"""A program that runs `python -m MODULE ...` in its place, and writes down what is imported."""

OF_WORKERS = {"asyncio", "concurrent.futures", "uvloop", "httptools", "websockets", "server_core.server.server", "app"}
OF_CONSOLES = {"structlog", "logging"}
OF_OTHER_COMMANDS = {
    "supervisor_d.cli.ctl",
    "supervisor_d.control.client.client",
    "supervisor_d.init.group",
    "supervisor_d.cli.check",
}
OF_TLS = {"ssl", "server_core.tls.termination", "server_core.tls.context"}
OF_FILES = {"tomllib"}


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    (tmp_path / "app.py").write_text(PID_APP)
    (tmp_path / "hooked.py").write_text(HOOKED)
    return tmp_path


def hooked(directory: Path) -> list[str]:
    return [sys.executable, str(directory / "hooked.py"), str(directory / "imported")]


def imported(directory: Path) -> set[str]:
    return set((directory / "imported").read_text().split())


def test_a_master_does_not_load_what_only_others_need(directory: Path) -> None:
    with running(directory=directory, command=hooked(directory)) as daemon:
        daemon.heard.expect("worker.ready")
        loaded = imported(directory)
    assert "supervisor_d.policy.supervisor" in loaded, "nothing was written down"
    assert loaded & (OF_WORKERS | OF_CONSOLES | OF_OTHER_COMMANDS | OF_TLS | OF_FILES) == set()


def test_a_master_that_is_complete_imports_nothing_more_whatever_it_is_asked(directory: Path) -> None:
    """The code on the disk may be another by then."""
    file, pair = directory / "settings.toml", authority().pair("localhost")
    file.write_text("workers = 1\n")
    started = ("--config", str(file), "--log-level", "debug")
    with running(*started, directory=directory, command=hooked(directory)) as daemon:
        daemon.heard.expect("worker.ready")
        daemon.heard.expect("master.completed")
        before = imported(directory)
        assert before, "nothing was written down"
        for command in ("status", "workers", "scale +1", "incidents", "config", "dump 1", "restart 1"):
            assert daemon.ctl(*command.split()).returncode == 0, command
        file.write_text(f"ssl-certfile = ['{pair.both}']\n")
        with daemon.listening() as heard:
            daemon.signal(signal.SIGHUP)
            heard.expect("reload.committed")
        file.write_text("workerz = 1\n")
        with daemon.listening() as heard:
            daemon.signal(signal.SIGHUP)
            heard.expect("reload.rolled_back")
        assert imported(directory) == before
